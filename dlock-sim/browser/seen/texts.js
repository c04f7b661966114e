// What is wrong with how texts are placed. It runs in the page, so it is one function that uses nothing outside.

/** Sentences about texts that cover each other, are cut off by their diagram, or are too small to read. */
export function badTexts() {
  const SMALLEST = 8;
  // Letters leave so much of the box of their line empty, above and below.
  const AIR = 0.12;
  const complaints = [];
  const diagrams = [...document.querySelectorAll('svg.diagram')].filter(visible);
  for (const diagram of diagrams) {
    const where = `in the diagram of ${diagram.closest('.take')?.dataset.way ?? '?'}`;
    const texts = textsOfDiagram(diagram);
    overlaps(texts, where);
    cutOff(texts, diagram, where);
    for (const { text, size } of texts) {
      if (size < SMALLEST) complaints.push(`${quoted(text)} is only ${size.toFixed(1)} px high ${where}`);
    }
  }
  overlaps(textsOfHtml(), 'on the page');
  return complaints;

  function overlaps(texts, where) {
    for (const [index, one] of texts.entries()) {
      for (const other of texts.slice(index + 1)) {
        if (one.layer === other.layer && !related(one, other) && !twin(one, other) && meet(one.corners, other.corners)) {
          complaints.push(`${quoted(one.text)} and ${quoted(other.text)} overlap ${where}`);
        }
      }
    }
  }

  function cutOff(texts, diagram, where) {
    if (getComputedStyle(diagram).overflow === 'visible') return;
    const { left, right, top, bottom } = diagram.getBoundingClientRect();
    for (const { text, corners } of texts) {
      const inside = corners.every(({ x, y }) => x >= left - 1 && x <= right + 1 && y >= top - 1 && y <= bottom + 1);
      if (!inside) complaints.push(`${quoted(text)} is cut off ${where}`);
    }
  }

  /** Boxes may be turned, so they are four corners, in pixels of the window. */
  function textsOfDiagram(diagram) {
    return [...diagram.querySelectorAll('text')].filter(visible).flatMap((element) => {
      const matrix = element.getScreenCTM();
      const size = parseFloat(getComputedStyle(element).fontSize) * Math.hypot(matrix.c, matrix.d);
      return lines(element).map(({ left, right, top, bottom }) => {
        const margin = (bottom - top) * AIR;
        const corners = [
          [left, top + margin], [right, top + margin], [right, bottom - margin], [left, bottom - margin],
        ].map(([x, y]) => new DOMPoint(x, y).matrixTransform(matrix));
        return { element, text: element.textContent, corners, size, layer: diagram };
      });
    });
  }

  /** A text's characters, as boxes of those that follow each other. */
  function lines(element) {
    const lines = [];
    for (let index = 0; index < element.getNumberOfChars(); index += 1) {
      const { x, y, width, height } = element.getExtentOfChar(index);
      if (width === 0 || height === 0) continue;
      const line = lines.at(-1);
      const goesOn = line && Math.abs(y + height - line.bottom) < height / 4 && Math.abs(x - line.right) < height;
      if (goesOn) line.right = x + width;
      else lines.push({ left: x, right: x + width, top: y, bottom: y + height });
    }
    return lines;
  }

  function textsOfHtml() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const element = node.parentElement;
      if (!node.data.trim() || element.closest('svg, script, style, noscript, template') || !visible(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const line of range.getClientRects()) {
        const { left, right, top, bottom } = clipped(line, element);
        if (right - left < 1 || bottom - top < 1) continue;
        const margin = (bottom - top) * AIR;
        const corners = [
          { x: left, y: top + margin }, { x: right, y: top + margin },
          { x: right, y: bottom - margin }, { x: left, y: bottom - margin },
        ];
        texts.push({ element, text: node.data, corners, layer: layer(element) });
      }
    }
    return texts;
  }

  /** What a scrolling box around it leaves of a rectangle. */
  function clipped({ left, right, top, bottom }, element) {
    for (let box = element; box && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflow === 'visible' || getComputedStyle(box).display === 'inline') continue;
      const frame = box.getBoundingClientRect();
      left = Math.max(left, frame.left);
      right = Math.min(right, frame.right);
      top = Math.max(top, frame.top);
      bottom = Math.min(bottom, frame.bottom);
    }
    return { left, right, top, bottom };
  }

  /** What floats above the page may cover it. */
  function layer(element) {
    for (let box = element; box; box = box.parentElement) {
      if (['fixed', 'sticky'].includes(getComputedStyle(box).position)) return box;
    }
    return document.body;
  }

  function visible(element) {
    return element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  }

  /** Two lines of one text, or a text and a part of it. */
  function related(one, other) {
    return one.element.contains(other.element) || other.element.contains(one.element);
  }

  /** The same letters in the same place, such as a halo below them. */
  function twin(one, other) {
    const near = (a, b) => Math.abs(a.x - b.x) < 0.5 && Math.abs(a.y - b.y) < 0.5;
    return one.text === other.text && one.corners.every((corner, index) => near(corner, other.corners[index]));
  }

  /** Two convex quadrilaterals meet unless a line along one of their sides keeps them apart. */
  function meet(one, other) {
    return [one, other].every((quad) => quad.every((corner, index) => {
      const next = quad[(index + 1) % quad.length];
      const normal = { x: next.y - corner.y, y: corner.x - next.x };
      const length = Math.hypot(normal.x, normal.y) || 1;
      const along = (corners) => corners.map(({ x, y }) => (x * normal.x + y * normal.y) / length);
      const [a, b] = [along(one), along(other)];
      return Math.min(Math.max(...a), Math.max(...b)) - Math.max(Math.min(...a), Math.min(...b)) > 0.5;
    }));
  }

  function quoted(text) {
    return `“${text.trim().replace(/\s+/g, ' ').slice(0, 60)}”`;
  }
}
