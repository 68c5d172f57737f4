"""HTTP: requests, pace, retries, parts of files, and what answers mean.

For `loaders.archive`, and for the checks of ``doctor``. Whatever goes over the network
goes through :class:`Http`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.remote.http import Http as Http
    from pereggrn_data.loaders.remote.http import HttpSettings as HttpSettings
    from pereggrn_data.loaders.remote.http import base_url as base_url
    from pereggrn_data.loaders.remote.http import user_agent as user_agent
    from pereggrn_data.loaders.remote.http_failures import BlockedError as BlockedError
    from pereggrn_data.loaders.remote.http_failures import (
        InterruptedTransferError as InterruptedTransferError,
    )
    from pereggrn_data.loaders.remote.http_failures import NotThereError as NotThereError
    from pereggrn_data.loaders.remote.http_failures import OfflineError as OfflineError
    from pereggrn_data.loaders.remote.http_failures import PassingError as PassingError
    from pereggrn_data.loaders.remote.http_failures import RangeRefusedError as RangeRefusedError
    from pereggrn_data.loaders.remote.http_failures import RangesIgnoredError as RangesIgnoredError
    from pereggrn_data.loaders.remote.probe import Probed as Probed
    from pereggrn_data.loaders.remote.probe import probe_link as probe_link
    from pereggrn_data.loaders.remote.ranges import Part as Part
    from pereggrn_data.loaders.remote.ranges import RemoteFile as RemoteFile
    from pereggrn_data.loaders.remote.ranges import Validator as Validator

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "http": (
            "Http",
            "HttpSettings",
            "base_url",
            "user_agent",
        ),
        "http_failures": (
            "BlockedError",
            "InterruptedTransferError",
            "NotThereError",
            "OfflineError",
            "PassingError",
            "RangeRefusedError",
            "RangesIgnoredError",
        ),
        "probe": (
            "Probed",
            "probe_link",
        ),
        "ranges": (
            "Part",
            "RemoteFile",
            "Validator",
        ),
    },
)
