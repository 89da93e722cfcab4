"use strict";
// Sorts the table by a column: a click on its heading, another click turns the order round.
(() => {
  const table = document.getElementById("videos");
  if (!table) return;
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];

  function compare(a, b) {
    const numbers = Number(a) - Number(b);
    return Number.isNaN(numbers) ? a.localeCompare(b, undefined, { numeric: true }) : numbers;
  }

  for (const [column, heading] of headings.entries()) {
    heading.querySelector("button")?.addEventListener("click", () => {
      const turn = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const value = (row) => row.cells[column].dataset.value;
      body.append(...[...body.rows].sort((a, b) => turn * compare(value(a), value(b))));
      for (const other of headings) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
    });
  }
})();
