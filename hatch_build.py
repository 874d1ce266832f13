"""Bundles the browser runtime of `edgeclf web` into wheels and source archives: hatchling calls this hook.

The folder runtime/edgeclf/page/vendor is used as it is, without a network. Where it is missing, it is fetched with npm.
Where that fails too, the package is built without it, and `edgeclf web` says so; everything else works.
"""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BrowserRuntimeHook(BuildHookInterface):
    """Fetches the folder before a wheel or a source archive is built; an editable installation uses what is there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects the files."""
        if version == "editable":
            return
        tool = runpy.run_path(str(Path(self.root, "tools", "fetch_web_runtime.py")))
        try:
            tool["fetch"]()
        except (tool["FetchError"], OSError) as error:
            self.app.display_warning(f"without the browser runtime, which `edgeclf web` needs: {error}")
