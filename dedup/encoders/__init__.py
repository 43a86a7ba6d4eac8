"""Encoders: texts to vectors, by a model's own libraries or by its compiled form.

Reading and writing a model's files is the one look at the world in the stage folders. Libraries that
cost seconds and hundreds of megabytes are imported inside the functions that need them, and only a
worker process or `evalratchet models compile` calls those.
"""
