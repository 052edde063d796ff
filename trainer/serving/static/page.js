"use strict";

// Sends the review, shows the verdict and what the server draws of it. The last review wins: an
// earlier request that still runs is given up.

const form = document.getElementById("form");
const text = document.getElementById("text");
const submit = document.getElementById("submit");
const verdict = document.getElementById("verdict");
const fault = document.getElementById("fault");
const explanation = document.getElementById("explanation");
let running = null;

function showBusy(isBusy) {
  submit.setAttribute("aria-disabled", String(isBusy));
  explanation.setAttribute("aria-busy", String(isBusy));
}

async function ask(review, signal) {
  const response = await fetch("explain", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text: review }),
    signal,
  });
  const answer = await response.json().catch(() => ({ error: `code ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function show(answer) {
  verdict.textContent = `${answer.label}, probability ${answer.probability.toFixed(4)}`;
  // The server has escaped what was typed, and the page's policy runs no script in it.
  explanation.innerHTML = answer.html;
}

function showFault(error) {
  verdict.textContent = "";
  explanation.replaceChildren();
  // What fetch throws when there is no answer.
  fault.textContent = error instanceof TypeError ? "the server does not answer" : error.message;
}

async function classify() {
  running?.abort();
  const request = (running = new AbortController());
  fault.textContent = "";
  verdict.textContent = "Reading the review …";
  showBusy(true);
  try {
    show(await ask(text.value, request.signal));
  } catch (error) {
    if (request === running) showFault(error);
  } finally {
    if (request === running) showBusy(false);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  classify();
});

text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
