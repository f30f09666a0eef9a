"""Search spaces as data: what one is (``space``), those that come with the package (``catalogue``), and the JSON files
in which users write their own (``files``)."""

from amended_darts.spaces.catalogue import SPACES as SPACES
from amended_darts.spaces.catalogue import find_space as find_space
from amended_darts.spaces.depth import check_cells as check_cells
from amended_darts.spaces.files import parse_space as parse_space
from amended_darts.spaces.files import read_space as read_space
from amended_darts.spaces.files import space_to_json as space_to_json
from amended_darts.spaces.space import CUSTOM as CUSTOM
from amended_darts.spaces.space import INPUTS as INPUTS
from amended_darts.spaces.space import OPERATORS as OPERATORS
from amended_darts.spaces.space import SKELETONS as SKELETONS
from amended_darts.spaces.space import Candidates as Candidates
from amended_darts.spaces.space import Group as Group
from amended_darts.spaces.space import Space as Space
from amended_darts.spaces.space import operators as operators
from amended_darts.spaces.space import uniform as uniform
