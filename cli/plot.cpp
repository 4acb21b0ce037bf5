#include "cli/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

namespace unroll::cli {
namespace {

constexpr double kWidth = 1120, kSide = 28, kTop = 112, kBottom = 32;
constexpr double kPanelHeight = 190, kPanelGapX = 44, kPanelGapY = 52, kLabels = 44;

constexpr const char* kColours[] = {"#a6a6a6", "#0072b2", "#d55e00", "#009e73",
                                    "#cc79a7", "#e69f00", "#56b4e9"};
constexpr int kColourCount = static_cast<int>(sizeof kColours / sizeof *kColours);

const char* colour_of(int index) {
  return kColours[index <= 0 ? 0 : 1 + (index - 1) % (kColourCount - 1)];
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) >= 32)
      out += c;
  }
  return out;
}

std::string fixed(double value, int digits = 1) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, value == 0 ? 0.0 : value);
  return text;
}

// A tick with as many decimals as its step needs.
std::string tick_label(double value, double step) {
  const double size = std::max(std::abs(value), step);
  char text[32];
  if (size >= 1e6 || step < 1e-5) {
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
  }
  return fixed(value, std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9))));
}

std::string text_at(double x, double y, const std::string& style, const std::string& text) {
  return "<text x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\" " + style + ">" + escaped(text) +
         "</text>\n";
}

std::string line_at(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + fixed(x1) + "\" y1=\"" + fixed(y1) + "\" x2=\"" + fixed(x2) + "\" y2=\"" +
         fixed(y2) + "\" " + style + "/>\n";
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // Room above and below, and something where there is nothing or one value.
  Range padded() const {
    if (!(low <= high)) return {0, 1};
    const double room = high > low ? 0.06 * (high - low) : std::max(std::abs(low), 1.0);
    return {low - room, high + room};
  }
};

// Where a panel lies on the page, and how values become places in it.
struct Frame {
  double left, top, width, height, first_x, last_x;
  Range y;

  double at_x(double x) const {
    const double span = last_x > first_x ? last_x - first_x : 1;
    return left + (x - first_x) / span * width;
  }
  double at_y(double value) const { return top + (y.high - value) / (y.high - y.low) * height; }
};

// The points of a run without gaps, thinned to extremes where several fall on one pixel.
class Path {
 public:
  explicit Path(const Frame& frame) : frame_(frame) {}

  void add(double x, double y) {
    if (!std::isfinite(y)) return finish_run();
    const double px = frame_.at_x(x);
    if (in_pixel_ > 0 && std::floor(px) != std::floor(first_.x)) flush();
    const Point point{px, frame_.at_y(y)};
    if (in_pixel_++ == 0) first_ = low_ = high_ = point;
    if (point.y < low_.y) low_ = point;
    if (point.y > high_.y) high_ = point;
    last_ = point;
  }

  // The path's commands; single points become dots by the round line caps.
  std::string finish() {
    finish_run();
    return path_;
  }

 private:
  struct Point {
    double x, y;
  };

  void put(Point p) {
    path_ += (open_ ? "L" : "M") + fixed(p.x, 2) + " " + fixed(p.y, 2);
    if (!open_) single_ = p;
    points_++;
    open_ = true;
  }
  void flush() {
    if (in_pixel_ == 0) return;
    const bool low_first = low_.x < high_.x;
    put(first_);
    if (in_pixel_ > 2) {
      put(low_first ? low_ : high_);
      put(low_first ? high_ : low_);
    }
    if (in_pixel_ > 1) put(last_);
    in_pixel_ = 0;
  }
  void finish_run() {
    flush();
    if (points_ == 1) path_ += "L" + fixed(single_.x, 2) + " " + fixed(single_.y, 2);
    open_ = false;
    points_ = 0;
  }

  const Frame& frame_;
  std::string path_;
  Point first_{}, low_{}, high_{}, last_{}, single_{};
  std::int64_t in_pixel_ = 0, points_ = 0;
  bool open_ = false;
};

std::string draw_axes(const Frame& f, const Plot& plot) {
  std::string svg;
  if (plot.mark_every > 0 && (f.last_x - f.first_x) / static_cast<double>(plot.mark_every) < 60)
    for (double x = f.first_x + static_cast<double>(plot.mark_every); x < f.last_x;
         x += static_cast<double>(plot.mark_every))
      svg += line_at(f.at_x(x), f.top, f.at_x(x), f.top + f.height,
                     "stroke=\"#b8b8b8\" stroke-dasharray=\"2 3\"");
  const std::vector<double> ys = nice_ticks(f.y.low, f.y.high, 5);
  for (const double y : ys) {
    svg += line_at(f.left, f.at_y(y), f.left + f.width, f.at_y(y), "stroke=\"#e6e6e6\"");
    svg += text_at(f.left - 8, f.at_y(y) + 4, "class=\"tick\" text-anchor=\"end\"",
                   tick_label(y, ys.size() > 1 ? ys[1] - ys[0] : 1));
  }
  const double bottom = f.top + f.height;
  const std::vector<double> xs = nice_ticks(f.first_x, f.last_x, f.width > 600 ? 10 : 6);
  for (const double x : xs) {
    svg += line_at(f.at_x(x), bottom, f.at_x(x), bottom + 4, "stroke=\"#8c8c8c\"");
    svg += text_at(f.at_x(x), bottom + 18, "class=\"tick\" text-anchor=\"middle\"",
                   tick_label(x, xs.size() > 1 ? xs[1] - xs[0] : 1));
  }
  return svg + line_at(f.left, bottom, f.left + f.width, bottom, "stroke=\"#8c8c8c\"");
}

std::string draw_panel(const PlotPanel& panel, const Frame& f, const Plot& plot) {
  std::string svg = text_at(f.left, f.top - 10, "class=\"panel\"", panel.title);
  svg += draw_axes(f, plot);
  for (const PlotCurve& curve : panel.curves) {
    Path path(f);
    for (std::size_t i = 0; i < curve.y.size(); i++)
      path.add(f.first_x + static_cast<double>(i), curve.y[i]);
    const char* width = curve.colour == 0 ? "3.2" : "1.5";
    svg += "<path d=\"" + path.finish() + "\" fill=\"none\" stroke=\"" + colour_of(curve.colour) +
           "\" stroke-width=\"" + width + "\" stroke-linejoin=\"round\" stroke-linecap=\"round\"" +
           "/>\n";
  }
  return svg;
}

// Each label once, from the right of the title's line.
std::string draw_legend(const Plot& plot) {
  std::vector<const PlotCurve*> entries;
  for (const PlotPanel& panel : plot.panels)
    for (const PlotCurve& curve : panel.curves)
      if (std::none_of(entries.begin(), entries.end(),
                       [&](const PlotCurve* e) { return e->label == curve.label; }))
        entries.push_back(&curve);
  double x = kWidth - kSide;
  std::string svg;
  for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
    const double text = 7.4 * static_cast<double>((*it)->label.size());
    x -= text;
    svg += text_at(x, 40, "class=\"legend\"", (*it)->label);
    x -= 32;
    svg += line_at(x, 36, x + 24, 36,
                   std::string("stroke-width=\"3\" stroke-linecap=\"round\" stroke=\"") +
                       colour_of((*it)->colour) + "\"");
    x -= 22;
  }
  return svg;
}

std::string open_page(double height) {
  const std::string w = fixed(kWidth, 0), h = fixed(height, 0);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + w + "\" height=\"" + h +
         "\" viewBox=\"0 0 " + w + " " + h +
         "\">\n<style>text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu "
         "Sans',Arial,sans-serif;fill:#333}"
         ".title{font-size:20px;font-weight:600}.subtitle{font-size:13px;fill:#666}"
         ".panel{font-size:14px;font-weight:600}.tick{font-size:12px;fill:#666}"
         ".legend{font-size:14px}</style>\n"
         "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int count) {
  std::vector<double> ticks;
  if (!(high > low) || !std::isfinite(high - low)) return {low};
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw)));
  const double part = raw / power;
  const double step = power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
    ticks.push_back(i * step);
  return ticks;
}

std::string to_svg(const Plot& plot) {
  const int columns = std::max(plot.columns, 1);
  const int rows = (static_cast<int>(plot.panels.size()) + columns - 1) / columns;
  const double height = kTop + rows * (kPanelHeight + kPanelGapY) - kPanelGapY + 28 + kBottom;
  const double width = (kWidth - 2 * kSide - (columns - 1) * kPanelGapX) / columns - kLabels;
  std::map<int, Range> ranges;
  std::size_t longest = 1;
  for (const PlotPanel& panel : plot.panels)
    for (const PlotCurve& curve : panel.curves) {
      longest = std::max(longest, curve.y.size());
      for (const double y : curve.y) ranges[panel.axis].add(y);
    }
  std::string svg = open_page(height);
  svg += text_at(kSide, 40, "class=\"title\"", plot.title);
  svg += text_at(kSide, 62, "class=\"subtitle\"", plot.subtitle);
  svg += draw_legend(plot);
  for (std::size_t i = 0; i < plot.panels.size(); i++) {
    const int column = static_cast<int>(i) % columns, row = static_cast<int>(i) / columns;
    const Frame frame{kSide + kLabels + column * (width + kLabels + kPanelGapX),
                      kTop + row * (kPanelHeight + kPanelGapY),
                      width,
                      kPanelHeight,
                      plot.first_x,
                      plot.first_x + static_cast<double>(longest - 1),
                      ranges[plot.panels[i].axis].padded()};
    svg += draw_panel(plot.panels[i], frame, plot);
  }
  svg += text_at(kSide + kLabels + (kWidth - 2 * kSide - kLabels) / 2, height - 16,
                 "class=\"tick\" text-anchor=\"middle\"", plot.x_label);
  return svg + "</svg>\n";
}

}  // namespace unroll::cli
