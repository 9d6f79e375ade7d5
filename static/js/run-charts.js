/* The charts of a page: one per canvas, each showing the series that it names. */
import { lineChart } from "./charts.js";

export class ChartSet {
  constructor(root = document, selector = "canvas[data-chart]") {
    this.charts = [...root.querySelectorAll(selector)].map((canvas) => ({
      names: canvas.dataset.names.split(","),
      chart: lineChart(canvas, { title: canvas.dataset.title, unit: canvas.dataset.unit, series: [] }),
    }));
  }

  /** Pass series to the charts that show them; `metric` gives the metric's name of a series. */
  show(series, { fresh = false, metric = (one) => one.name } = {}) {
    for (const { names, chart } of this.charts) {
      const own = names.flatMap((name) => series.filter((one) => metric(one) === name));
      if (fresh) chart.replace(own);
      else if (own.length) chart.update(own);
    }
  }
}
