"""Architectures that transformers does not have, one file each, registered when a type is first looked up.

A file here is found by walking the folder (one whose name begins with `_` is no architecture). It defines a
configuration and a causal language model as transformers does, and registers them with transformers' Auto
classes; what it declares about its sizes and states is in `archbench.models.protocol`. Architectures of your
own need no place in archbench: docs/families.md.
"""
