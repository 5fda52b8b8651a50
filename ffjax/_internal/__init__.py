"""What every folder may use and what uses none of them: values, arguments, arrays, maps, files."""
