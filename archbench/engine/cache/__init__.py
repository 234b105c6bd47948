"""What a model keeps of a prefix: attention keys and values, recurrent states, and their copies."""
