// Draws the charts of the page, sorts its tables and saves them as CSV. All texts come from
// files: they reach the page only as text, never as HTML.
(function () {
  "use strict";
  var report = JSON.parse(document.getElementById("report-data").textContent);
  var dark = window.matchMedia("(prefers-color-scheme: dark)");

  // Columns, with text as codes, to the rows that charts take.
  function rowsOf(columns) {
    var names = Object.keys(columns);
    var first = names.length ? columns[names[0]] : [];
    var n = (first.codes || first).length;
    var rows = new Array(n);
    for (var i = 0; i < n; i++) {
      var row = {};
      for (var k = 0; k < names.length; k++) {
        var column = columns[names[k]];
        row[names[k]] = column.codes ? column.levels[column.codes[i]] : column[i];
      }
      rows[i] = row;
    }
    return rows;
  }

  // Colours are written as "@token"; anything else that begins so is not known, and stays.
  function coloured(value, scheme) {
    if (typeof value === "string") {
      return value.charAt(0) === "@" && Object.hasOwn(scheme, value.slice(1))
        ? scheme[value.slice(1)] : value;
    }
    if (Array.isArray(value)) {
      return value.map(function (part) { return coloured(part, scheme); });
    }
    if (value && typeof value === "object") {
      var made = {};
      Object.keys(value).forEach(function (key) { made[key] = coloured(value[key], scheme); });
      return made;
    }
    return value;
  }

  function configOf(scheme) {
    var font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
    return {
      background: "transparent",
      font: font,
      view: { stroke: null },
      axis: {
        labelColor: scheme.ink, titleColor: scheme.muted, gridColor: scheme.grid,
        domainColor: scheme.muted, tickColor: scheme.muted, labelFontSize: 11, titleFontSize: 12,
        titleFontWeight: "normal", labelLimit: 240, tickCount: 6
      },
      // From the end to the left, a title has the room of the labels, too, in a narrow window.
      axisX: { titleAnchor: "end" },
      // Points at the edge of a chart do not lie on the names beside it.
      axisYDiscrete: { offset: 8 },
      legend: { labelColor: scheme.ink, titleColor: scheme.muted, labelFontSize: 11,
        titleFontWeight: "normal" }
    };
  }

  function draw(chart, place) {
    var scheme = report.schemes[dark.matches ? "dark" : "light"];
    var spec = coloured(chart.spec, scheme);
    spec.datasets = chart.rows;
    spec.config = configOf(scheme);
    delete spec.$schema;
    return window.vegaEmbed(place, spec, {
      mode: "vega-lite", actions: false, renderer: "svg", logLevel: 1, ast: true, tooltip: { theme: "custom" },
      // Nothing is loaded: all that a chart needs is here.
      loader: { load: function () { return Promise.reject(new Error("nothing is loaded")); } }
    }).then(function (made) {
      var svg = place.querySelector("svg");
      if (svg) { svg.setAttribute("aria-label", chart.label); svg.setAttribute("role", "img"); }
      // What is wider than the window is scrolled by the keyboard, too.
      if (place.parentNode.scrollWidth > place.parentNode.clientWidth) {
        place.parentNode.tabIndex = 0;
      }
      chart.made = made;
      return made;
    });
  }

  function drawAll() {
    return Promise.all(report.charts.map(function (chart) {
      var box = document.querySelector('.charts[data-figure="' + chart.figure + '"]');
      var place = document.getElementById(chart.place);
      if (!place) {
        var holder = document.createElement("div");
        holder.className = "chart";
        if (chart.heading && report.charts.filter(function (c) {
          return c.figure === chart.figure;
        }).length > 1) {
          var heading = document.createElement("h3");
          heading.textContent = chart.heading;
          holder.appendChild(heading);
        }
        // Few columns need not fill a wide page.
        if (chart.widest) { holder.style.maxWidth = chart.widest + "rem"; }
        place = document.createElement("div");
        place.id = chart.place;
        if (chart.narrowest) { place.style.minWidth = chart.narrowest + "rem"; }
        holder.appendChild(place);
        box.appendChild(holder);
        chart.rows = {};
        Object.keys(chart.data).forEach(function (name) {
          chart.rows[name] = rowsOf(chart.data[name]);
        });
        delete chart.data;
      }
      // What a reader has chosen stays chosen when the scheme changes.
      var before = {};
      if (chart.made) {
        ["metric", "perturbation", "gene"].forEach(function (name) {
          try { before[name] = chart.made.view.signal(name); } catch (unknown) { /* not here */ }
        });
        chart.made.finalize();
      }
      return draw(chart, place).then(function (made) {
        Object.keys(before).forEach(function (name) { made.view.signal(name, before[name]); });
        return made.view.runAsync();
      });
    }));
  }

  function valueOf(row, column) {
    var cell = row.cells[column];
    return cell.hasAttribute("data-value") ? cell.getAttribute("data-value") : cell.textContent;
  }

  function sortBy(head) {
    var table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
    var up = head.getAttribute("aria-sort") !== "ascending";
    var isNumber = head.classList.contains("num");
    Array.prototype.forEach.call(head.parentNode.cells, function (other) {
      other.removeAttribute("aria-sort");
    });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    var rows = Array.prototype.slice.call(body.rows);
    rows.sort(function (one, other) {
      var a = valueOf(one, column), b = valueOf(other, column);
      // What is missing comes last, either way.
      if (a === "" || b === "") { return (a === "") - (b === ""); }
      var order = isNumber ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
      return up ? order : -order;
    });
    rows.forEach(function (row) { body.appendChild(row); });
  }

  // A cell that a spreadsheet could take for a formula is written with a leading apostrophe.
  function quoted(text, isNumber) {
    var safe = !isNumber && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\n\r]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }

  function csvOf(table) {
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    var lines = [heads.map(function (h) { return quoted(h.textContent, false); }).join(",")];
    Array.prototype.forEach.call(table.tBodies[0].rows, function (row) {
      lines.push(heads.map(function (h, k) {
        return quoted(valueOf(row, k), h.classList.contains("num"));
      }).join(","));
    });
    return lines.join("\r\n") + "\r\n";
  }

  function save(table) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOf(table)], { type: "text/csv" }));
    link.download = table.getAttribute("data-file") + ".csv";
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button");
    if (!button) { return; }
    if (button.classList.contains("csv")) {
      save(button.closest(".tools").previousElementSibling.querySelector("table"));
    } else if (button.closest("table.sortable thead")) {
      sortBy(button.closest("th"));
    }
  });

  // For tests, and for readers who want the numbers.
  window.report = { charts: report.charts, csvOf: csvOf, ready: drawAll() };
  dark.addEventListener("change", function () { window.report.ready = drawAll(); });
}());
