import ArgumentParser

@main
struct Roost: AsyncParsableCommand {}
