"""The formats market history comes in, one module for each family. `store.market_files` chooses among them."""
