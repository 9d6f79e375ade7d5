/* A quality page: draws the histograms of lengths, and follows a report that is being made. */
import { barChart } from "./bar-chart.js";
import { callApi } from "./http.js";

const POLL_MS = 2000;
const PARTS = { total: "Whole trace", prompt: "Prompt", steps: "Steps", answer: "Answer" };

const data = document.getElementById("report-data");
if (data) {
  const { histograms, tokens, sequence_length: length } = JSON.parse(data.textContent);
  Object.keys(PARTS).forEach((part, index) => {
    const canvas = document.querySelector(`canvas[data-part="${part}"]`);
    const facts = tokens[part];
    barChart(canvas, {
      title: PARTS[part],
      unit: "tokens",
      histogram: histograms[part],
      note: `p50 ${facts.p50}, p95 ${facts.p95}, p99 ${facts.p99}, longest ${facts.max}.`,
      bound: part === "total" ? { at: length, text: `sequence length ${length}` } : null,
      colour: `--series-${index + 1}`,
    });
  });
}

const running = document.querySelector("[data-report-url]");
if (running) {
  const bar = running.querySelector("progress");
  const text = running.querySelector("[data-report-text]");
  const look = async () => {
    try {
      const report = await callApi(running.dataset.reportUrl);
      if (!["queued", "running"].includes(report.status)) {
        location.reload();
        return;
      }
      bar.max = Math.max(1, report.total);
      bar.value = report.done;
      text.textContent = `${report.status}: ${report.done.toLocaleString("en")} of ${report.total.toLocaleString("en")} traces read`;
    } catch {
      text.textContent = "The site does not answer just now; trying again.";
    }
    setTimeout(look, POLL_MS);
  };
  setTimeout(look, POLL_MS);
}
