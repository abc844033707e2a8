// The explorer: a code, its sliders, and the picture that the decoder makes of it, all in the page.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const SIZE = 64, PIXELS = SIZE * SIZE, LARGEST = 1000;
const $ = (id) => document.getElementById(id);

// What was packed: base64 of little-endian numbers.
function bytes(text) {
  const letters = atob(text), array = new Uint8Array(letters.length);
  for (let i = 0; i < array.length; i++) array[i] = letters.charCodeAt(i);
  return array;
}
const floats = (text) => new Float32Array(bytes(text).buffer);
const integers = (text) => new Int8Array(bytes(text).buffer);

const images = bytes(data.images); // uint8 (images, 64, 64, 3)
const COUNT = images.length / (3 * PIXELS);
const models = {};
for (const [name, packed] of Object.entries(data.models)) {
  const model = { low: packed.low, high: packed.high };
  for (const part of ["weight0", "bias0", "scale2", "bias2", "codes"]) model[part] = floats(packed[part]);
  model.weight2 = integers(packed.weight2);
  models[name] = model;
}
const Z = Object.values(models)[0].low.length;

// decoder: Linear, ReLU, Linear, Tanh. z: Z numbers -> a picture, 3 * 64 * 64 values in [-1, 1], channel-first.
function decode(model, z) {
  const { weight0, bias0, weight2, scale2, bias2 } = model;
  const hidden = Float32Array.from(bias0, (sum, row) => {
    for (let k = 0; k < Z; k++) sum += weight0[row * Z + k] * z[k];
    return Math.max(sum, 0);
  });
  const picture = new Float32Array(3 * PIXELS);
  for (let row = 0, at = 0; row < picture.length; row++) {
    let sum = 0;
    for (let k = 0; k < hidden.length; k++) sum += weight2[at++] * hidden[k]; // weight2 * scale2: see explore.py
    picture[row] = Math.tanh(scale2[row] * sum + bias2[row]);
  }
  return picture;
}

// An image as the models see it: 2 * x / 255 - 1, channel-first.
function original(number) {
  const picture = new Float32Array(3 * PIXELS);
  for (let p = 0; p < PIXELS; p++)
    for (let c = 0; c < 3; c++) picture[c * PIXELS + p] = (2 * images[3 * (number * PIXELS + p) + c]) / 255 - 1;
  return picture;
}

// Values in [-1, 1] as pixels of a canvas.
function paint(canvas, picture) {
  const pixels = new ImageData(SIZE, SIZE);
  for (let p = 0; p < PIXELS; p++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * p + c] = Math.round((picture[c * PIXELS + p] + 1) * 127.5);
    pixels.data[4 * p + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// What autoencoders/measurements.py calls by these names, in grey levels.
function measure(picture, reconstruction) {
  const level = (c, p) => (picture[c * PIXELS + p] + 1) * 127.5;
  const luma = new Float32Array(PIXELS);
  let brightness = 0, redness = 0, saturation = 0, squares = 0;
  for (let p = 0; p < PIXELS; p++) {
    const red = level(0, p), green = level(1, p), blue = level(2, p);
    luma[p] = 0.299 * red + 0.587 * green + 0.114 * blue;
    brightness += luma[p] / PIXELS;
    redness += (red - (green + blue) / 2) / PIXELS;
    saturation += (Math.max(red, green, blue) - Math.min(red, green, blue)) / PIXELS;
  }
  for (let i = 0; i < picture.length; i++) squares += (picture[i] - reconstruction[i]) ** 2 / picture.length;
  const smooth = (y, x) => { // the mean of a pixel and its neighbours
    let sum = 0;
    for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) sum += luma[(y + dy) * SIZE + x + dx];
    return sum / 9;
  };
  let slopes = 0, count = 0;
  for (let y = 26; y < 52; y++) // eyes, nose and mouth
    for (let x = 18; x < 46; x++, count++)
      slopes += Math.hypot(smooth(y + 1, x) - smooth(y - 1, x), smooth(y, x + 1) - smooth(y, x - 1)) / 2;
  return { brightness, redness, saturation, sharpness: slopes / count, distance: 127.5 * Math.sqrt(squares) };
}

// What is shown. `code` is that of the picture, `element` the one that is scaled by itself.
const state = { model: "", image: 0, other: 0, way: 0, element: 0, code: null };
const ALL = [...Array(Z).keys()];
const fixed = (value, digits) => (Number(value.toFixed(digits)) + 0).toFixed(digits); // no -0.0
const codeOf = (image) => models[state.model].codes.slice(image * Z, (image + 1) * Z);

function between() { // the code `way` of the way from the image's to that of the other one
  const other = codeOf(state.other);
  state.code = codeOf(state.image).map((value, k) => value + (other[k] - value) * state.way);
}

function scale(factor, elements) { // no farther than LARGEST: the decoder's tanh is saturated by then
  const reach = Math.max(1, ...elements.map((k) => Math.abs(state.code[k])));
  for (const k of elements) state.code[k] *= Math.min(factor, LARGEST / reach);
}

function sample() { // of N(0, I), by Box and Muller
  state.model = "VAE";
  state.way = 0;
  state.code = codeOf(0).map(() => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));
}

// The address holds the state, so that a link shows the same face. What is no state of this page is left out.
function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const whole = (name, end, otherwise = 0) =>
    /^\d+$/.test(given.get(name)) && given.get(name) < end ? Number(given.get(name)) : Math.min(otherwise, end - 1);
  state.model = Object.hasOwn(models, given.get("model")) ? given.get("model") : Object.keys(models)[0];
  Object.assign(state, { image: whole("image", COUNT), other: whole("other", COUNT, 1), element: whole("element", Z) });
  state.way = Math.min(1, Math.max(0, Number(given.get("way")) || 0));
  const code = (given.get("code") ?? "").split("_").map((text) => (text ? Number(text) : NaN));
  if (code.length === Z && code.every((value) => Math.abs(value) <= LARGEST)) state.code = Float32Array.from(code);
  else between();
}

let writing = 0;
function writeAddress() { // soon: a browser refuses to do it with every move of a slider
  clearTimeout(writing);
  writing = setTimeout(() => {
    const { code, ...rest } = state;
    const values = [...code].map((value) => Number(value.toPrecision(7))).join("_");
    history.replaceState(null, "", `#${new URLSearchParams({ ...rest, code: values })}`);
  }, 300);
}

// What stays while a code is edited, and takes as long to compute as the picture: of the image as the model has it.
let plain = null;
function reconstruction() {
  const { model, image } = state;
  if (plain?.model !== model || plain.image !== image) {
    const picture = decode(models[model], codeOf(image));
    plain = { model, image, original: original(image), picture, measured: measure(picture, picture) };
  }
  return plain;
}

// Everything on the page is made to show the state; `moved` is the slider that the state comes from, and stays as it is.
function show(moved = null) {
  const model = models[state.model], picture = decode(model, state.code), before = reconstruction();
  paint($("picture"), picture);
  paint($("original"), before.original);
  paint($("reconstruction"), before.picture);
  paint($("difference"), picture.map((value, i) => (value - before.original[i]) / 2));
  paint($("other-original"), original(state.other));
  const after = measure(picture, before.picture);
  for (const name in after) {
    $(`${name}-before`).textContent = fixed(before.measured[name], 1);
    $(`${name}-after`).textContent = fixed(after[name], 1);
  }
  ALL.forEach((k) => {
    const slider = $(`slider-${k}`);
    Object.assign(slider, { min: model.low[k], max: model.high[k] });
    if (slider !== moved) slider.value = state.code[k];
    slider.nextElementSibling.textContent = fixed(state.code[k], 2);
    slider.setAttribute("aria-valuetext", fixed(state.code[k], 2));
    slider.parentElement.classList.toggle("chosen", k === state.element);
  });
  for (const name of ["image", "other", "way"]) $(name).value = state[name];
  $("image-number").textContent = state.image;
  $("other-number").textContent = state.other;
  $("way-number").textContent = `${Math.round(100 * state.way)}%`;
  $("element").textContent = `x[0][${state.element}]`;
  $("length").textContent = Math.hypot(...state.code).toFixed(2);
  for (const radio of document.querySelectorAll("[name=model]")) radio.checked = radio.value === state.model;
  writeAddress();
}

// What a person does: each changes the state, then all is shown.
const on = (target, event, change) =>
  target.addEventListener(event, () => {
    change(target);
    show(target);
  });

for (const name of Object.keys(models)) {
  const label = $("models").appendChild(document.createElement("label"));
  label.innerHTML = `<input type="radio" name="model" value="${name}"> ${name}`;
  on(label.firstChild, "change", () => {
    state.model = name;
    between();
  });
}
ALL.forEach((k) => {
  const row = $("sliders").appendChild(document.createElement("label"));
  row.innerHTML = `<span>x[0][${k}]</span> <input type="range" id="slider-${k}" step="any"> <span class="value" aria-hidden="true"></span>`;
  const slider = row.children[1];
  on(slider, "pointerdown", () => (state.element = k));
  slider.addEventListener("keydown", (event) => {
    if (!"*/".includes(event.key)) return;
    state.element = k;
    scale(event.key === "*" ? 5 : 1 / 5, [k]);
    show();
  });
  on(slider, "input", () => {
    state.code[k] = slider.value;
    state.element = k;
  });
});
$("image").max = $("other").max = COUNT - 1;
for (const name of ["image", "other", "way"])
  on($(name), "input", (slider) => {
    state[name] = Number(slider.value);
    if (name === "image") state.way = 0;
    if (name !== "other" || state.way > 0) between();
  });
on($("element-times-5"), "click", () => scale(5, [state.element]));
on($("element-by-5"), "click", () => scale(1 / 5, [state.element]));
on($("code-times-5"), "click", () => scale(5, ALL));
on($("code-by-5"), "click", () => scale(1 / 5, ALL));
on($("sample"), "click", sample);
on($("reset"), "click", () => {
  state.way = 0;
  between();
});
addEventListener("hashchange", () => {
  readAddress();
  show();
});
readAddress();
show();
