// The interactive figures, drawn by ECharts from the data in the page, in the page's colours.
// A chart has panels of series of points; `lamini.report.charts` says what it holds.
(() => {
  const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F6BB3", "#8A8A00"];
  const SYMBOLS = ["circle", "triangle", "rect", "diamond", "roundRect"];
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const NARROW = 640;
  const LABEL = 240; // width of a label of a reference model

  const size = (n) => (n >= 1e9 ? `${n / 1e9}B` : n >= 1e6 ? `${Math.round(n / 1e5) / 10}M` : `${n}`);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rounded = (n) => (Number.isInteger(n) ? n.toLocaleString("en") : Number(n.toFixed(3)).toString());

  // On a dark ground the darkest of them would not be seen.
  const DARK = { "#0072B2": "#4FA3E3", "#7F6BB3": "#A897DB" };
  const colour = (place) => {
    const one = COLOURS[place % COLOURS.length];
    return (matchMedia("(prefers-color-scheme: dark)").matches && DARK[one]) || one;
  };
  // Colour and symbol of each series: those of one group share them.
  const looks = (chart) => {
    const places = new Map();
    const found = new Map();
    for (const panel of chart.panels) {
      panel.series.forEach((series, order) => {
        const group = series.group ?? order;
        if (!places.has(group)) places.set(group, places.size);
        const place = places.get(group);
        found.set(series, { colour: colour(place), symbol: SYMBOLS[place % SYMBOLS.length] });
      });
    }
    return found;
  };

  // The nodes of a series' name: its pieces, each with its subscript.
  const named = (series) => series.shown.flatMap(([text, index]) => {
    const below = document.createElement("sub");
    below.textContent = index;
    return index ? [text, below] : [text];
  });

  const bubble = (series, chart) => (params) => {
    const tip = document.createElement("div");
    tip.className = "tip";
    const [x, y] = params.value;
    const label = series.labels[params.dataIndex];
    const strong = document.createElement("strong");
    strong.append(...named(series), series.kind ? `, ${series.kind}` : "");
    tip.append(strong, document.createElement("br"));
    if (label) tip.append(label, document.createElement("br"));
    if (chart.kind === "lines") {
      tip.append(`${chart.x.name}: ${chart.x.sizes ? size(x) : rounded(Number(x))}; ${chart.y.name}: ${rounded(y)}`);
    }
    return tip;
  };

  const drawn = (series, look, chart, panel) => {
    const many = series.points.length > 60;
    const common = {
      name: series.name, xAxisIndex: panel, yAxisIndex: panel, animation: false,
      data: chart.x.categories ? series.points.map(([x, y]) => [String(x), y]) : series.points,
      tooltip: { formatter: bubble(series, chart) },
      itemStyle: {
        color: series.hollow ? style("--back") : look.colour, borderColor: look.colour,
        borderWidth: series.hollow ? 1.5 : 0, opacity: chart.kind === "dots" ? 0.75 : 1,
      },
    };
    if (chart.kind === "dots") {
      return { ...common, type: "scatter", symbol: look.symbol, symbolSize: series.points.length > 400 ? 5 : 9 };
    }
    return {
      ...common, type: "line", symbol: look.symbol, symbolSize: many ? 3 : series.small ? 5 : 9, showSymbol: true,
      lineStyle: { color: look.colour, width: 1.5, type: series.small ? "dotted" : series.dashed ? "dashed" : "solid" },
    };
  };

  const levels = (panel, place, width) => ({
    name: "reference models", type: "line", xAxisIndex: place, yAxisIndex: place, data: [], animation: false,
    markLine: {
      silent: true, symbol: "none", animation: false,
      // Labels of two models stand beside each other, so that they cannot cover each other.
      data: panel.levels.map((level) => ({
        yAxis: level.y,
        lineStyle: { color: style("--quiet"), type: "dashed", opacity: level.published ? 0.5 : 1 },
        label: {
          position: "insideStartTop", offset: [width < NARROW ? 0 : level.place * LABEL, 0], formatter: level.label,
          color: style("--quiet"), opacity: 1, fontSize: 11,
        },
      })),
    },
  });

  // On a logarithmic axis, ticks at 1, 2 and 5 times the powers of ten inside the data.
  const ticks = (points) => {
    const xs = points.map(([x]) => x);
    const [low, high] = [Math.min(...xs), Math.max(...xs)];
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      for (const step of [1, 2, 5]) found.push(step * 10 ** power);
    }
    return { low: low * 0.9, high: high * 1.1, at: found.filter((n) => n >= low * 0.9 && n <= high * 1.1) };
  };

  const axis = (described, panel, points, colours) => {
    const line = { lineStyle: { color: colours.line } };
    const base = {
      gridIndex: panel, name: described.name, nameLocation: "middle", nameTextStyle: { color: colours.quiet },
      axisLabel: { color: colours.quiet, show: Boolean(described.name), hideOverlap: true },
      axisLine: { show: true, onZero: false, ...line }, axisTick: { show: false }, splitLine: { show: Boolean(described.name), ...line },
    };
    if (described.categories) return { ...base, type: "category", splitLine: { show: false } };
    if (!described.log) return { ...base, type: "value", scale: true };
    const { low, high, at } = ticks(points);
    return {
      ...base, type: "log", min: low, max: high, splitLine: { show: false },
      axisTick: { show: true, customValues: at },
      axisLabel: { ...base.axisLabel, formatter: size, customValues: at },
    };
  };

  const options = (chart, width, found) => {
    const colours = { line: style("--line"), quiet: style("--quiet"), text: style("--text") };
    const columns = width < NARROW ? 1 : chart.panels.length;
    const lines = Math.ceil(chart.panels.length / columns);
    const left = chart.y.name ? 52 : 12;
    const share = 100 / columns;
    const grid = chart.panels.map((_, n) => ({
      left: `${share * (n % columns) + (100 * left) / width}%`,
      width: `${share - (100 * (left + 14)) / width}%`,
      top: `${(100 / lines) * Math.floor(n / columns) + 9}%`,
      height: `${100 / lines - 22}%`,
    }));
    const all = chart.panels.map((panel) => panel.series.flatMap((series) => series.points));
    return {
      animation: false, textStyle: { color: colours.text, fontFamily: getComputedStyle(document.body).fontFamily },
      title: chart.panels.map((panel, n) => ({
        text: panel.title, left: grid[n].left, top: `${(100 / lines) * Math.floor(n / columns)}%`,
        textStyle: { color: colours.text, fontSize: 13 },
      })),
      tooltip: {
        trigger: "item", confine: true, backgroundColor: style("--back"), borderColor: colours.line,
        textStyle: { color: colours.text }, extraCssText: "max-width: 340px",
      },
      legend: { show: false },
      toolbox: chart.x.categories ? undefined : {
        right: 4, top: 0, iconStyle: { borderColor: colours.quiet },
        feature: { dataZoom: { title: { zoom: "Zoom into a box", back: "Zoom back" }, filterMode: "none" }, restore: { title: "All" } },
      },
      grid,
      xAxis: chart.panels.map((_, n) => ({ ...axis(chart.x, n, all[n], colours), nameGap: 28 })),
      yAxis: chart.panels.map((_, n) => ({ ...axis(chart.y, n, all[n], colours), nameGap: 36 })),
      series: chart.panels.flatMap((panel, n) => [
        ...panel.series.map((series) => drawn(series, found.get(series), chart, n)),
        ...(panel.levels?.length ? [levels(panel, n, width)] : []),
      ]),
    };
  };

  const swatch = (series, look) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [key, value] of Object.entries({ width: 22, height: 10, "aria-hidden": true })) svg.setAttribute(key, value);
    const shape = (name, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      svg.append(element);
    };
    if (series.group !== undefined) {
      shape("line", { x1: 0, x2: 22, y1: 5, y2: 5, stroke: look.colour, "stroke-width": 2, "stroke-dasharray": series.small ? "1 2" : series.dashed ? "4 3" : "none" });
    }
    const outlines = { triangle: "11,1 15.5,9 6.5,9", rect: "7.5,1.5 14.5,1.5 14.5,8.5 7.5,8.5", diamond: "11,0 16,5 11,10 6,5" };
    const paint = { fill: series.hollow ? style("--back") : look.colour, stroke: look.colour };
    if (outlines[look.symbol]) shape("polygon", { points: outlines[look.symbol], ...paint });
    else shape("circle", { cx: 11, cy: 5, r: 4, ...paint });
    return svg;
  };

  // A button for each name, which hides its series and shows them again; its swatch is the plainest.
  const legend = (box, chart, instance, found) => {
    const shown = new Map();
    const plain = (series) => !(series.hollow || series.small);
    for (const s of chart.panels.flatMap((panel) => panel.series)) {
      if (!shown.has(s.name) || (plain(s) && !plain(shown.get(s.name)))) shown.set(s.name, s);
    }
    box.replaceChildren(...[...shown].map(([name, series]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      const label = document.createElement("span");
      label.append(...named(series));
      button.append(swatch(series, found.get(series)), label);
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(pressed));
        instance.dispatchAction({ type: pressed ? "legendSelect" : "legendUnSelect", name });
      });
      return button;
    }));
  };

  for (const element of document.querySelectorAll(".chart")) {
    const chart = charts[element.dataset.chart];
    let found = looks(chart);
    const box = element.parentElement.querySelector(".legend");
    if (chart.panels.length > 1) element.style.height = element.clientWidth < NARROW ? "760px" : "";
    const instance = echarts.init(element, null, { renderer: "canvas" });
    const draw = () => {
      found = looks(chart);
      instance.setOption(options(chart, element.clientWidth, found), true);
      legend(box, chart, instance, found);
    };
    draw();
    let width = element.clientWidth;
    new ResizeObserver(() => {
      if (element.clientWidth === width || !element.clientWidth) return;
      width = element.clientWidth;
      if (chart.panels.length > 1) element.style.height = width < NARROW ? "760px" : "";
      instance.resize();
      draw();
    }).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }
})();
