"""What a model folder must be before anything of it is loaded, and what its reader should know."""
