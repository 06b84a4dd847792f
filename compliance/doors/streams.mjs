// Node's HTTP/2: every URL a stream of events in one connection. Says "open" when all are answered, and "heard" when each has said
// the words.
//
//   streams.mjs ORIGIN WORDS PATH...

import http2 from 'node:http2';

const [origin, words, ...paths] = process.argv.slice(2);
const session = http2.connect(origin);
let [open, heard] = [0, 0];
for (const path of paths) {
  const stream = session.request({ ':path': path });
  let said = '';
  stream.on('response', (head) => {
    if (head[':status'] !== 200) throw new Error(`${path}: ${head[':status']}`);
    if ((open += 1) === paths.length) console.log('open');
  });
  stream.setEncoding('utf8').on('data', (text) => {
    const had = said.includes(words);
    said += text;
    if (!had && said.includes(words) && (heard += 1) === paths.length) console.log('heard');
  });
}
