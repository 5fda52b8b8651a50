"""fastText's binary format: `.bin`, and quantized `.ftz`."""
