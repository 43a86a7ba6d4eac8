"""Takes personal data and secrets out of pieces of traces, before anything keeps them.

`gates` says in one pass which kinds a text may have at all; `recognisers` (Presidio's patterns,
phonenumbers, detect-secrets) decide; `redactor` walks a piece and puts placeholders in;
`placeholder` makes and numbers them.
"""
