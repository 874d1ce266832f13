"""`edgeclf web`: a static site that runs a model in the browser, offline."""
