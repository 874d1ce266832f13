"""The HTTP service of ``edgeclf serve`` (extra ``[serve]``): one classifier for many clients, with a page."""
