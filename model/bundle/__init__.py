"""The bundle: a folder with ONNX graphs, a golden batch and the manifest that describes them.

The room may import `likelihood`, `prior` and the modules at the top of model. Begin with
`manifest`, the schema, then `bundle`, which opens and checks a folder.
"""
