internal import DequeModule
internal import NIOCore
internal import RoostProtocol

/// The log as the group sees it: the term of every index, the configurations that may still matter, and recent entries.
/// Nothing is compacted away: the first index is 1.
struct RaftLog: Sendable {
    private(set) var runs: [RaftTermRun]
    private(set) var lastIndex: UInt64
    /// Synced here through this.
    private(set) var persisted: UInt64
    /// Ascending: the last committed one, if known, and what came after it.
    private(set) var configurations: [RaftConfigurationRecord]
    /// The newest entries, ending at `lastIndex`.
    private var cache: Deque<RaftEntry> = []
    private(set) var cacheBytes = 0

    init(_ restored: RaftRestored) {
        runs = restored.termRuns
        lastIndex = restored.lastIndex
        persisted = restored.lastIndex
        configurations = restored.configurations
    }

    /// What an entry is taken to cost in memory, beside its payload.
    private static let entryOverhead = 64
    static func cost(_ entry: RaftEntry) -> Int { entry.payload.readableBytes + entryOverhead }

    var lastTerm: UInt64 { runs.last?.term ?? 0 }
    /// The first entry in memory; `lastIndex + 1` if there is none.
    var cacheStart: UInt64 { lastIndex + 1 - UInt64(cache.count) }
    /// In force: the last one in the log, committed or not.
    var configuration: RaftConfiguration { configurations.last?.configuration ?? RaftConfiguration(voters: []) }
    var configurationIndex: UInt64 { configurations.last?.index ?? 0 }

    /// Nil beyond the end; 0 for index 0.
    func term(at index: UInt64) -> UInt64? {
        guard index > 0 else { return 0 }
        guard index <= lastIndex else { return nil }
        // Almost always asked about the end.
        if let last = runs.last, index >= last.firstIndex { return last.term }
        return runs[runOf(index)].term
    }

    /// The last index up to `index` whose term is at most `term` (fast back-up, Ongaro 2014, section 3.5).
    func lastIndex(upTo index: UInt64, termAtMost term: UInt64) -> UInt64 {
        let index = min(index, lastIndex)
        guard index > 0, !runs.isEmpty else { return 0 }
        var run = runOf(index)
        if runs[run].term <= term { return index }
        while run > 0 {
            if runs[run - 1].term <= term { return runs[run].firstIndex - 1 }
            run -= 1
        }
        return 0
    }

    /// The run that holds `index`, by bisection.
    private func runOf(_ index: UInt64) -> Int {
        var low = 0
        var high = runs.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if runs[middle].firstIndex <= index { low = middle } else { high = middle }
        }
        return low
    }

    /// Entries that follow `lastIndex` without a gap, with terms that do not fall: the caller has checked.
    mutating func append(_ entries: some Collection<RaftEntry>) {
        for entry in entries {
            if entry.term != lastTerm || runs.isEmpty {
                runs.append(RaftTermRun(firstIndex: entry.index, term: entry.term))
            }
            lastIndex = entry.index
            cacheBytes += Self.cost(entry)
            cache.append(entry)
        }
    }

    mutating func addConfiguration(_ configuration: RaftConfiguration, at index: UInt64) {
        configurations.append(RaftConfigurationRecord(index: index, configuration: configuration))
    }

    /// Removes all from `index` on. Returns true if that changed the configuration in force.
    mutating func truncate(from index: UInt64) -> Bool {
        guard index <= lastIndex, index > 0 else { return false }
        while lastIndex >= index {
            guard let last = cache.popLast() else { break }
            cacheBytes -= Self.cost(last)
            lastIndex -= 1
        }
        lastIndex = index - 1
        persisted = min(persisted, lastIndex)
        while let run = runs.last, run.firstIndex > lastIndex { runs.removeLast() }
        let before = configurations.count
        while let last = configurations.last, last.index > lastIndex { configurations.removeLast() }
        return configurations.count != before
    }

    mutating func persisted(through index: UInt64) { persisted = max(persisted, min(index, lastIndex)) }

    /// Forgets configurations that were replaced by a committed one.
    mutating func committed(through index: UInt64) {
        while configurations.count > 1, configurations[1].index <= index { configurations.removeFirst() }
    }

    /// Entries in memory from `from` up to `through`, of at most `maxBytes`, at least one. Payloads are shared.
    func entries(from: UInt64, through: UInt64, maxBytes: Int) -> (entries: [RaftEntry], bytes: Int) {
        let last = min(through, lastIndex)
        guard from >= cacheStart, from <= last else { return ([], 0) }
        let start = Int(from - cacheStart)
        let limit = Int(last - cacheStart) + 1
        var end = start
        var bytes = 0
        while end < limit {
            let cost = Self.cost(cache[end])
            if end > start, bytes + cost > maxBytes { break }
            bytes += cost
            end += 1
        }
        return (Array(cache[start..<end]), bytes)
    }

    /// What these entries, all of them in memory, are taken to cost.
    func bytes(from: UInt64, through: UInt64) -> Int {
        guard from >= cacheStart, from <= through, through <= lastIndex else { return 0 }
        return cache[Int(from - cacheStart)...Int(through - cacheStart)].reduce(0) { $0 + Self.cost($1) }
    }

    /// Frees memory above `limit` bytes, of entries up to `index` only.
    mutating func evict(through index: UInt64, limit: Int) {
        while cacheBytes > limit, let first = cache.first, first.index <= index {
            cacheBytes -= Self.cost(first)
            cache.removeFirst()
        }
    }

    /// Whether `entries` stand in this log: a stored answer may be of a log that was truncated since.
    func matches(_ entries: [RaftEntry], from: UInt64) -> Bool {
        var index = from
        for entry in entries {
            guard entry.index == index, term(at: index) == entry.term else { return false }
            index += 1
        }
        return true
    }

    func checkInvariants() -> [String] {
        var found: [String] = []
        if persisted > lastIndex { found.append("persisted \(persisted) beyond the log's end \(lastIndex)") }
        if cacheStart > persisted + 1 { found.append("entries before \(cacheStart) evicted, persisted \(persisted)") }
        if (runs.first?.firstIndex ?? 1) != 1 || runs.isEmpty != (lastIndex == 0) { found.append("runs start late") }
        for (a, b) in zip(runs, runs.dropFirst()) where a.firstIndex >= b.firstIndex || a.term >= b.term {
            found.append("runs out of order at \(b.firstIndex)")
        }
        for (offset, entry) in cache.enumerated()
        where entry.index != cacheStart + UInt64(offset) || term(at: entry.index) != entry.term {
            found.append("cache is wrong at \(entry.index)")
        }
        if cacheBytes != cache.reduce(0, { $0 + Self.cost($1) }) { found.append("cache bytes miscounted") }
        if configurationIndex > lastIndex { found.append("configuration beyond the log's end") }
        return found
    }
}
