// Makes the headings of `table.sortable` buttons that sort its rows. A cell's `data-value` takes the
// place of its text. What is not a number comes after the numbers in both directions.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const asNumber = (text) => (text === "" ? NaN : Number(text.replace(/[,%]/g, "")));
  const compared = (a, b, sign) => {
    const [x, y] = [asNumber(a), asNumber(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return sign * (x - y);
    return Number.isNaN(x) - Number.isNaN(y) || sign * a.localeCompare(b);
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of headings) other.setAttribute("aria-sort", other === heading ? direction : "none");
      const sign = direction === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => compared(value(a, column), value(b, column), sign));
      table.tBodies[0].append(...rows);
    });
  });
}
