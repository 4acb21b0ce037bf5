// Line plots as SVG: panels in a grid, each with the original and its reconstructions over time.
//
//   Plot plot{.title = "Seattle", .x_label = "day"};
//   plot.panels.push_back({.title = "temp_max", .curves = {{"original", 0, x}, {"decoder", 2,
//   y}}}); write_file("plot.svg", to_svg(plot));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace unroll::cli {

struct PlotCurve {
  std::string label;
  int colour = 0;         // 0: the original, broad and grey; 1, 2, ...: colours that colour-blind
                          // people tell apart (Okabe & Ito 2008)
  std::vector<double> y;  // at first_x, first_x + 1, ...; NaN: a gap
};

struct PlotPanel {
  std::string title;
  std::vector<PlotCurve> curves;
  int axis = 0;  // panels of one number share the range of y
};

struct Plot {
  std::string title, subtitle, x_label;
  double first_x = 0;
  std::int64_t mark_every = 0;  // faint vertical lines, where windows begin; 0: none
  int columns = 1;              // of panels
  std::vector<PlotPanel> panels;
};

/// The picture, 1120 pixels wide. Long curves are thinned to the largest and smallest value of each
/// pixel.
std::string to_svg(const Plot& plot);

/// About `count` round numbers (1, 2 or 5 times a power of ten) that cover low..high.
std::vector<double> nice_ticks(double low, double high, int count);

}  // namespace unroll::cli
