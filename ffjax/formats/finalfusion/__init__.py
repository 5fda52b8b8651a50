"""finalfusion files (`.fifu`): a header, then chunks; one module a chunk."""
