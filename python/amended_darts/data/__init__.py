"""Images to search on: sources by name, two seeded halves for w and α, and an order that resumes at any step."""

from amended_darts.data.custom import as_data_set as as_data_set
from amended_darts.data.custom import custom_data as custom_data
from amended_darts.data.sources import SOURCES as SOURCES
from amended_darts.data.sources import DataSet as DataSet
from amended_darts.data.sources import load_data as load_data
from amended_darts.data.sources import with_options as with_options
from amended_darts.data.streams import Stream as Stream
from amended_darts.data.streams import heldout_batches as heldout_batches
from amended_darts.data.streams import seeded_halves as seeded_halves
