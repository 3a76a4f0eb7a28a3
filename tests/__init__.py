"""The tests of Forkful: histories without processes, real servers, real neighbours, and the benchmarks."""
