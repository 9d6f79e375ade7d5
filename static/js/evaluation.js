/* The page of an evaluation: draws at which step texts first go wrong. */
import { barChart } from "./bar-chart.js";

const canvas = document.querySelector("canvas[data-first-wrong]");
const data = document.getElementById("first-wrong-data");
if (canvas && data) {
  barChart(canvas, { title: "First wrong step", unit: "step", counted: "texts", histogram: JSON.parse(data.textContent), colour: "--series-2" });
}
