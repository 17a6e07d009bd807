"""Result files, pictures and the report of a search."""
