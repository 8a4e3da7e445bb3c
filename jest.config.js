module.exports = {
  testEnvironment: 'jsdom',
  testRegex: 'labextension/src/.*\\.spec\\.ts$'
};
