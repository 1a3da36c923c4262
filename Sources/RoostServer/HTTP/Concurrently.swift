/// Runs `body` for every item, at most `width` at a time, and returns what it gave in the order of the items.
func concurrently<Item: Sendable, Result: Sendable>(
    _ items: [Item], width: Int = 16, _ body: @escaping @Sendable (Item) async throws -> Result
) async throws -> [Result] {
    try await withThrowingTaskGroup(of: (Int, Result).self) { group in
        var found: [(Int, Result)] = []
        for (index, item) in items.enumerated() {
            if index >= width, let done = try await group.next() { found.append(done) }
            group.addTask { (index, try await body(item)) }
        }
        for try await done in group { found.append(done) }
        return found.sorted { $0.0 < $1.0 }.map(\.1)
    }
}
