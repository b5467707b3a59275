// Where a photo lies in its place on the screen: whole, or so close that its faces are easy to see.

const CLOSEST = 4; // times larger than whole
const MARGIN = 1.5; // of the faces' circles, around them

// The part of the photo that holds all faces, in its pixels.
export function around(faces, photo) {
  const sides = faces.map(({ circle: [x, y, radius] }) => {
    const r = radius * MARGIN;
    return [x - r, y - r, x + r, y + r];
  });
  if (!sides.length) return [0, 0, photo.width, photo.height];
  const least = (i) => Math.max(0, Math.min(...sides.map((side) => side[i])));
  const most = (i, end) => Math.min(end, Math.max(...sides.map((side) => side[i])));
  return [least(0), least(1), most(2, photo.width), most(3, photo.height)];
}

// Left, top, width and height of the whole photo in a place, when a part of it fills the place as far as it can.
export function laid(photo, [x0, y0, x1, y1], width, height) {
  const whole = Math.min(width / photo.width, height / photo.height);
  const scale = Math.min(whole * CLOSEST, Math.max(whole, Math.min(width / (x1 - x0), height / (y1 - y0))));
  const shift = (from, to, length, room) => {
    const free = room - length * scale;
    if (free >= 0) return free / 2;
    return Math.min(0, Math.max(free, room / 2 - ((from + to) / 2) * scale));
  };
  return {
    left: shift(x0, x1, photo.width, width),
    top: shift(y0, y1, photo.height, height),
    width: photo.width * scale,
    height: photo.height * scale,
    closer: scale / whole,
  };
}
