"""Pictures of found cells and of α, drawn with matplotlib without a display."""

from amended_darts.drawing.alphas import draw_alphas as draw_alphas
from amended_darts.drawing.cells import draw_cells as draw_cells
