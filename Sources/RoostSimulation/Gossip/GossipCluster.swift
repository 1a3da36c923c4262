import NIOCore
import RoostCluster
import RoostModel
import RoostProtocol

/// Many nodes' membership and presence, and nothing else of them: the machines that production runs, on one queue in
/// virtual time. A node does with them what `Node+Membership` does. One seed, one run.
struct GossipCluster {
    let options: GossipOptions
    var now: UInt64 = 1_000_000_000
    var watch: GossipWatch
    var nodes: [GossipNode] = []
    var queue = GossipQueue()
    var messages = GossipMessages()
    var generator: SeededGenerator
    /// By (from, to): whether the link stands, as the sender sees it; whether messages get through.
    var isLinked: [Bool]
    var isCut: [Bool]
    /// When the last message of a pair arrives: none overtakes it.
    private var lastArrival: [UInt64]
    private var order: UInt64 = 0
    private var scratch = ByteBuffer()
    private var swimActions: [Swim.Action] = []
    private var presenceActions: [PresenceTable.Action] = []
    /// Whether links are given up in silence (`GossipOptions.tearsLinks`).
    var tearsLinks: Bool
    /// Changes of devices by `flip`.
    var flips: UInt64 = 0
    /// Rules that were broken, of machines and codecs.
    var failures: [String] = []

    /// All nodes are there and linked, and know nothing of each other yet.
    init(_ options: GossipOptions) {
        self.options = options
        tearsLinks = options.tearsLinks
        let count = options.nodes
        generator = SeededGenerator(seed: options.seed)
        watch = GossipWatch(nodes: count)
        isLinked = Array(repeating: false, count: count * count)
        isCut = Array(repeating: false, count: count * count)
        lastArrival = Array(repeating: 0, count: count * count)
        for index in 0..<count { nodes.append(makeNode(index, epoch: 100)) }
        for index in 0..<count {
            setTimer(index)
            for other in 0..<count where other != index { linkUp(index, other) }
        }
    }

    func makeNode(_ index: Int, epoch: Epoch) -> GossipNode {
        GossipNode(
            index: index, epoch: epoch, options: options, now: now,
            seed: StableHash.mix(options.seed ^ UInt64(index) << 32 ^ epoch))
    }

    @inline(__always)
    func pair(_ from: Int, _ to: Int) -> Int { from * options.nodes + to }

    mutating func random(_ range: ClosedRange<UInt64>) -> UInt64 { UInt64.random(in: range, using: &generator) }

    // MARK: Time

    mutating func schedule(_ event: GossipQueue.Event, at: UInt64) {
        order += 1
        queue.push(GossipQueue.Item(at: at, order: order, event: event))
    }

    /// Runs for a time, or until a call is due that the scenario asked for: returns its number.
    mutating func run(for duration: UInt64) -> Int32? { run(until: now + duration) }

    mutating func run(until end: UInt64) -> Int32? {
        while let item = queue.first, item.at <= end {
            _ = queue.pop()
            now = max(now, item.at)
            switch item.event {
            case .arrival(let from, let to, let slot): arrive(item, from: Int(from), to: Int(to), slot: slot)
            case .timer(let node): fire(item, Int(node))
            case .link(let node, let other, let isUp): changeLink(Int(node), Int(other), isUp: isUp)
            case .stall(let node): changeStall(Int(node))
            case .call(let number): return number
            }
        }
        now = max(now, end)
        return nil
    }

    private mutating func fire(_ item: GossipQueue.Item, _ index: Int) {
        guard nodes[index].isUp, nodes[index].timer == item.at else { return }
        if nodes[index].stall == .process {
            let end = nodes[index].stalledUntil
            nodes[index].timer = end
            schedule(.timer(Int32(index)), at: end)
            return
        }
        nodes[index].timer = .max
        if let due = nodes[index].swim.nextDeadline, due <= now { feed(.tick, to: index) }
        if let due = nodes[index].presence.nextDeadline, due <= now {
            for message in nodes[index].presence.tick(now: now) { broadcast(message, from: index) }
        }
        setTimer(index)
    }

    mutating func setTimer(_ index: Int) {
        let due = max(now, nodes[index].deadline)
        guard due < nodes[index].timer else { return }
        nodes[index].timer = due
        schedule(.timer(Int32(index)), at: due)
    }

    // MARK: Machines

    mutating func feed(_ event: Swim.Event, to index: Int) {
        swimActions.removeAll(keepingCapacity: true)
        nodes[index].swim.receive(event, now: now, into: &swimActions)
        perform(from: index)
    }

    private mutating func perform(from index: Int) {
        let actions = swimActions
        for action in actions {
            switch action {
            case .send(var message, let to):
                message.digests = nodes[index].presence.digests(for: message.body)
                send(message, from: index, to: GossipNode.index(of: to))
            case .statusChanged(let old, let new):
                watch.statusChanged(old: old, new: new, at: index, now: now)
                let wall = Int64(now / 1_000)
                withPresence(of: index) { $0.memberChanged(new, wall: wall, into: &$1) }
            case .digests(let digests, let from):
                let now = now
                withPresence(of: index) { $0.compare(digests, from: from, now: now, into: &$1) }
            case .refuted: watch.refutations += 1
            case .conflictingSelf: failures.append("node \(index) met another life of itself")
            }
        }
        setTimer(index)
    }

    private mutating func withPresence(
        of index: Int, _ body: (inout PresenceTable, inout [PresenceTable.Action]) -> Void
    ) {
        presenceActions.removeAll(keepingCapacity: true)
        body(&nodes[index].presence, &presenceActions)
        for action in presenceActions {
            if case .send(let message, let to) = action {
                let receiver = GossipNode.index(of: to)
                let bytes = measure(.presence(message))
                let slot = messages.put(.presence(message))
                dispatch(slot, bytes: bytes, isSwim: false, from: index, to: receiver)
                messages.dropIfUnsent(slot)
            }
        }
    }

    /// A device of a node comes or goes.
    mutating func change(_ index: Int, _ body: (inout PresenceTable, UInt64) -> Void) {
        body(&nodes[index].presence, now)
        setTimer(index)
    }

    // MARK: Messages

    private mutating func send(_ message: SwimMessage, from: Int, to: Int) {
        let bytes = measure(.swim(message))
        let slot = messages.put(.swim(message))
        dispatch(slot, bytes: bytes, isSwim: true, from: from, to: to)
        messages.dropIfUnsent(slot)
    }

    private mutating func broadcast(_ message: PresenceMessage, from: Int) {
        let bytes = measure(.presence(message))
        if case .delta(_, _, let first, let last, _) = message, last > first {
            watch.flushed(from, version: last, now: now)
        }
        let slot = messages.put(.presence(message))
        for to in nodes.indices where to != from {
            dispatch(slot, bytes: bytes, isSwim: false, from: from, to: to)
        }
        messages.dropIfUnsent(slot)
    }

    /// By the codec of the links.
    private mutating func measure(_ frame: PeerFrame) -> Int {
        scratch.clear()
        PeerFrameCodec.encode(frame, into: &scratch)
        let bytes = scratch.readableBytes
        if options.checksCodecs {
            var copy = scratch
            if let body = try? PeerFrameCodec.nextFrame(from: &copy) {
                var body = body
                let again = try? PeerFrameCodec.decode(&body)
                if again != frame { failures.append("a frame is not what it was: \(frame)") }
            }
        }
        return bytes
    }

    private mutating func dispatch(_ slot: Int32, bytes: Int, isSwim: Bool, from: Int, to: Int) {
        let pair = pair(from, to)
        guard isLinked[pair] else { return }
        if isSwim {
            nodes[from].sent.swimFrames += 1
            nodes[from].sent.swimBytes += UInt64(bytes)
        } else {
            nodes[from].sent.presenceFrames += 1
            nodes[from].sent.presenceBytes += UInt64(bytes)
        }
        guard !isCut[pair] else { return }
        if options.lossPerMillion > 0, random(0...999_999) < options.lossPerMillion { return }
        var departure = now
        if nodes[from].stall == .messages { departure = max(now, nodes[from].stalledUntil) }
        let arrival = max(departure + random(options.delay), lastArrival[pair] + 1)
        lastArrival[pair] = arrival
        messages.addReceiver(slot)
        nodes[to].bytesReceived += UInt64(bytes)
        schedule(.arrival(from: Int32(from), to: Int32(to), slot: slot), at: arrival)
    }

    private mutating func arrive(_ item: GossipQueue.Item, from: Int, to: Int, slot: Int32) {
        if nodes[to].stall != nil {
            // In the order in which it came.
            queue.push(GossipQueue.Item(at: nodes[to].stalledUntil, order: item.order, event: item.event))
            return
        }
        guard let message = messages.take(slot), nodes[to].isUp, isLinked[pair(to, from)] else { return }
        switch message {
        case .swim(let message): feed(.received(message, from: GossipNode.id(from)), to: to)
        case .presence(let message):
            let now = now
            withPresence(of: to) { $0.receive(message, from: GossipNode.id(from), now: now, into: &$1) }
            if case .request = message { return }
            watch.heard(nodes[to].presence.version(of: GossipNode.id(from)), of: from, at: to, now: now)
        }
    }
}
