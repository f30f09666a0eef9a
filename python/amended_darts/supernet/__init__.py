"""The super-network: every candidate of every edge at once, mixed with weights that the caller gives."""

from amended_darts.supernet.network import SuperNet as SuperNet
