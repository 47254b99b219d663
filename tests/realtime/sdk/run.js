// node run.js <package> <scenario> <configuration as JSON>: prints what the scenario reports as one JSON line.
'use strict';

const [packageName, scenario, configuration] = process.argv.slice(2);
const loaded = require(packageName);
const run = require(`./${scenario}.js`);

run(loaded.default || loaded, JSON.parse(configuration)).then(
  report => { console.log(JSON.stringify(report)); process.exit(0); },
  error => { console.error(error); process.exit(1); },
);
