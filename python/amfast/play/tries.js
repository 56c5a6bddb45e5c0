// Things to try with the bundled pictures, and what to look at. A test says that they come out so.

const lowerHalf = (pattern, side) => pattern.map((x, i) => (i >= (side * side) / 2 ? -1 : x));
const inverted = (pattern) => pattern.map((x) => -x);

const TRIES = [
  {
    name: "Too many for Hebb",
    models: [{ kind: "hopfield" }, { kind: "dense", parameter: 4 }],
    stored: 14, picked: 5, noise: 20,
    say: "Fourteen pictures are too alike for Hebb’s rule, which makes one ghost of them. An energy of the fourth power " +
      "tells them apart. Store fewer, and the first one recalls as well.",
  },
  {
    name: "Take out what is alike",
    models: [{ kind: "hopfield" }, { kind: "projection" }],
    stored: 20, picked: 2, noise: 20,
    say: "The same network with another rule: the projection takes out what the pictures have in common, and all twenty are held.",
  },
  {
    name: "Half a picture",
    models: [{ kind: "dense", parameter: 3 }, { kind: "dense", parameter: 4 }],
    stored: 20, picked: 2, noise: 0, spoil: lowerHalf,
    say: "Half of a sandal is black, as much of a sneaker is. The third power slides over to the sneaker, the fourth stays with " +
      "the sandal: what is most alike weighs more.",
  },
  {
    name: "A negative",
    models: [{ kind: "dense", parameter: 3 }, { kind: "dense", parameter: 4 }],
    stored: 20, picked: 17, noise: 0, spoil: inverted,
    say: "Asked with a negative. To an even power a picture and its negative are one memory, as in Hopfield’s network; an odd " +
      "one climbs out, and finds the sneaker.",
  },
  {
    name: "From blend to memory",
    models: [{ kind: "modern", parameter: 4 }, { kind: "modern", parameter: 16 }],
    stored: 20, picked: 17, noise: 20,
    say: "Softmax attention, read until it rests. A small β ends in a grey mean of all pictures, a large one in a single " +
      "picture. Move β between them.",
  },
  {
    name: "Random places",
    models: [{ kind: "sdm", parameter: 354 }, { kind: "sdm", parameter: 366 }],
    stored: 8, picked: 5, noise: 20,
    say: "Kanerva’s memory writes into all places near a picture. If few are near, a spoilt cue finds hardly any that the " +
      "picture was written to; with more of them it comes back in two reads.",
  },
];
