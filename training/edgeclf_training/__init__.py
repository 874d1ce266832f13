"""Photo folder -> trained network: data, augmentation, architectures, fitting.

Needs ``pip install "edgeclf[train]"``.
"""

import logging

from edgeclf.telemetry import disable_telemetry

disable_telemetry()  # before torch and its friends are imported
# So with advice for those who have no home that can be written: it keeps its list of fonts elsewhere then.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
