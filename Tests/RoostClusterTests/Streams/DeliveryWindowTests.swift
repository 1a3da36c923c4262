import RoostCluster
import RoostModel
import Testing

@Suite struct DeliveryWindowTests {
    private let a = WindowModel.id(1)
    private let b = WindowModel.id(2)

    @Test func writesWhatFollows() {
        var window = DeliveryWindow(size: 2)
        var actions: [DeliveryWindow.Action] = []
        #expect(window.offer(conversation: a, seq: 6, cursor: 5, own: false, into: &actions) == .write(n: 1))
        #expect(window.offer(conversation: b, seq: 1, cursor: 0, own: false, into: &actions) == .write(n: 2))
        #expect(window.offer(conversation: a, seq: 6, cursor: 5, own: false, into: &actions) == .drop)
        #expect(!window.hasRoom && actions.isEmpty)
        #expect(window.lastNumber == 2)
    }

    @Test func aFullWindowReadsFromTheLogOnceThereIsRoom() {
        var window = DeliveryWindow(size: 1)
        var actions: [DeliveryWindow.Action] = []
        #expect(window.offer(conversation: a, seq: 1, cursor: 0, own: false, into: &actions) == .write(n: 1))
        #expect(window.offer(conversation: a, seq: 2, cursor: 0, own: false, into: &actions) == .drop)
        #expect(window.offer(conversation: a, seq: 3, cursor: 0, own: false, into: &actions) == .drop)
        #expect(actions.isEmpty && window.hasBacklog)
        #expect(window.acknowledge(1, into: &actions) == true)
        #expect(actions == [.advance(conversation: a, seq: 1), .read(conversation: a, after: 1, limit: 1)])
        actions = []
        // The read finds more than there is room for: the rest is read again.
        #expect(window.readMessage(conversation: a, seq: 2, own: false, into: &actions) == .write(n: 2))
        #expect(window.readMessage(conversation: a, seq: 3, own: false, into: &actions) == .drop)
        window.readEnded(conversation: a, through: 3, last: 3, into: &actions)
        #expect(actions.isEmpty && window.hasBacklog)
        #expect(window.acknowledge(2, into: &actions) == true)
        #expect(actions == [.advance(conversation: a, seq: 2), .read(conversation: a, after: 2, limit: 1)])
    }

    /// One's own messages need no room, but they must not carry the cursor over one that found none.
    @Test func nothingOvertakesWhatFoundNoRoom() {
        var window = DeliveryWindow(size: 1)
        var actions: [DeliveryWindow.Action] = []
        window.unread(conversation: a, cursor: 0, head: 3, into: &actions)
        #expect(window.offer(conversation: b, seq: 1, cursor: 0, own: false, into: &actions) == .write(n: 1))
        actions = []
        #expect(window.readMessage(conversation: a, seq: 1, own: false, into: &actions) == .drop)
        #expect(window.readMessage(conversation: a, seq: 2, own: true, into: &actions) == .drop)
        window.readEnded(conversation: a, through: 3, last: 2, into: &actions)
        #expect(actions.isEmpty)
        #expect(window.acknowledge(1, into: &actions) == true)
        #expect(actions == [.advance(conversation: b, seq: 1), .read(conversation: a, after: 0, limit: 1)])
    }

    /// Below the floor nothing is waited for, and it is told once.
    @Test func whatWasRemovedIsSteppedOver() {
        var window = DeliveryWindow(size: 8)
        var actions: [DeliveryWindow.Action] = []
        #expect(window.skip(conversation: a, cursor: 2, lost: 2...6, into: &actions) == 3...6)
        #expect(actions == [.advance(conversation: a, seq: 6)])
        #expect(window.skip(conversation: a, cursor: 2, lost: 3...6, into: &actions) == nil)
        actions = []
        window.unread(conversation: a, cursor: 6, head: 7, into: &actions)
        #expect(actions == [.read(conversation: a, after: 6, limit: 8)])
        // More goes while it is read.
        actions = []
        #expect(window.skip(conversation: a, cursor: 6, lost: 7...7, into: &actions) == 7...7)
        #expect(window.readMessage(conversation: a, seq: 7, own: false, into: &actions) == .drop)
        #expect(window.readMessage(conversation: a, seq: 8, own: false, into: &actions) == .write(n: 1))
        window.readEnded(conversation: a, through: 8, last: 8, into: &actions)
        #expect(actions == [.advance(conversation: a, seq: 7)])
        // With something on its way the acknowledgement of that comes first.
        actions = []
        #expect(window.skip(conversation: a, cursor: 8, lost: 9...9, into: &actions) == 9...9)
        #expect(actions.isEmpty)
        #expect(window.acknowledge(1, into: &actions))
        #expect(actions == [.advance(conversation: a, seq: 9)])
        #expect(window.checkInvariants().isEmpty)
    }

    @Test func aGapIsReadFromTheLog() {
        var window = DeliveryWindow(size: 8)
        var actions: [DeliveryWindow.Action] = []
        #expect(window.offer(conversation: a, seq: 5, cursor: 2, own: false, into: &actions) == .drop)
        #expect(actions == [.read(conversation: a, after: 2, limit: 8)])
        actions = []
        // While it is read nothing overtakes.
        #expect(window.offer(conversation: a, seq: 6, cursor: 2, own: false, into: &actions) == .drop)
        for seq in UInt64(3)...5 {
            #expect(window.readMessage(conversation: a, seq: seq, own: false, into: &actions) == .write(n: seq - 2))
        }
        window.readEnded(conversation: a, through: 5, last: 5, into: &actions)
        #expect(actions == [.read(conversation: a, after: 5, limit: 5)])
        #expect(window.readMessage(conversation: a, seq: 6, own: false, into: &actions) == .write(n: 4))
        actions = []
        window.readEnded(conversation: a, through: 6, last: 6, into: &actions)
        #expect(actions.isEmpty)
        #expect(window.offer(conversation: a, seq: 7, cursor: 2, own: false, into: &actions) == .write(n: 5))
    }

    @Test func oneThatIsHeldGetsNothingAndReadsLater() {
        var window = DeliveryWindow(size: 4)
        let a = WindowModel.id(1)
        var actions: [DeliveryWindow.Action] = []
        #expect(window.offer(conversation: a, seq: 1, cursor: 0, own: false, into: &actions) == .write(n: 1))
        window.hold()
        #expect(window.offer(conversation: a, seq: 2, cursor: 0, own: false, into: &actions) == .drop)
        #expect(window.acknowledge(1, into: &actions) == true)
        #expect(actions == [.advance(conversation: a, seq: 1)])
        actions = []
        window.release(into: &actions)
        #expect(actions == [.read(conversation: a, after: 1, limit: 4)])
        // Held while the read is under way: it is read again.
        window.hold()
        #expect(window.readMessage(conversation: a, seq: 2, own: false, into: &actions) == .drop)
        actions = []
        window.readEnded(conversation: a, through: 2, last: 2, into: &actions)
        #expect(actions.isEmpty)
        window.release(into: &actions)
        #expect(actions == [.read(conversation: a, after: 1, limit: 4)])
        #expect(window.readMessage(conversation: a, seq: 2, own: false, into: &actions) == .write(n: 2))
    }

    @Test func ownMessagesAreSteppedOver() {
        var window = DeliveryWindow(size: 1)
        var actions: [DeliveryWindow.Action] = []
        #expect(window.offer(conversation: a, seq: 1, cursor: 0, own: true, into: &actions) == .drop)
        #expect(actions == [.advance(conversation: a, seq: 1)])
        actions = []
        #expect(window.offer(conversation: a, seq: 2, cursor: 0, own: false, into: &actions) == .write(n: 1))
        // With a full window, too; the cursor waits for what is outstanding before it.
        #expect(window.offer(conversation: a, seq: 3, cursor: 0, own: true, into: &actions) == .drop)
        #expect(actions.isEmpty && !window.hasBacklog)
        #expect(window.acknowledge(1, into: &actions) == true)
        #expect(actions == [.advance(conversation: a, seq: 3)])
    }

    @Test func whatCannotBeReadIsSteppedOver() {
        var window = DeliveryWindow(size: 8)
        var actions: [DeliveryWindow.Action] = []
        window.unread(conversation: a, cursor: 0, head: 5, into: &actions)
        window.opened(into: &actions)
        #expect(actions == [.read(conversation: a, after: 0, limit: 8)])
        actions = []
        window.readEnded(conversation: a, through: 5, last: 0, into: &actions)
        #expect(actions == [.advance(conversation: a, seq: 5), .caughtUp])
        actions = []
        #expect(window.offer(conversation: a, seq: 6, cursor: 0, own: false, into: &actions) == .write(n: 1))
    }

    @Test func aFailedReadIsTriedAgain() {
        var window = DeliveryWindow(size: 8)
        var actions: [DeliveryWindow.Action] = []
        window.unread(conversation: a, cursor: 1, head: 2, into: &actions)
        actions = []
        window.readEnded(conversation: a, through: nil, last: 1, into: &actions)
        #expect(actions == [.read(conversation: a, after: 1, limit: 8)])
    }

    @Test func readsAreFewAtOnceAndInTurn() {
        var window = DeliveryWindow(size: 100)
        var actions: [DeliveryWindow.Action] = []
        for number in 1...6 { window.unread(conversation: WindowModel.id(number), cursor: 0, head: 1, into: &actions) }
        #expect(actions.count == DeliveryWindow.maxReads)
        actions = []
        #expect(window.readMessage(conversation: a, seq: 1, own: false, into: &actions) == .write(n: 1))
        window.readEnded(conversation: a, through: 1, last: 1, into: &actions)
        #expect(actions == [.read(conversation: WindowModel.id(5), after: 0, limit: 64)])
    }

    @Test func acknowledgingTwiceOrTooMuch() {
        var window = DeliveryWindow(size: 8)
        var actions: [DeliveryWindow.Action] = []
        #expect(window.acknowledge(1, into: &actions) == false)
        for seq in UInt64(1)...3 {
            _ = window.offer(conversation: a, seq: seq, cursor: 0, own: false, into: &actions)
        }
        #expect(window.acknowledge(2, into: &actions) == true)
        #expect(actions == [.advance(conversation: a, seq: 2)])
        actions = []
        #expect(window.acknowledge(2, into: &actions) == true)
        #expect(window.acknowledge(0, into: &actions) == true)
        #expect(window.acknowledge(4, into: &actions) == false)
        #expect(actions.isEmpty && window.unacknowledged == 1)
    }

    @Test func caughtUpOnceAndWithoutAnythingToRead() {
        var window = DeliveryWindow(size: 8)
        var actions: [DeliveryWindow.Action] = []
        window.opened(into: &actions)
        #expect(actions == [.caughtUp])
        actions = []
        // Opened again, at another leader.
        window.unread(conversation: a, cursor: 0, head: 1, into: &actions)
        window.opened(into: &actions)
        #expect(actions == [.read(conversation: a, after: 0, limit: 8)])
        actions = []
        #expect(window.readMessage(conversation: a, seq: 1, own: false, into: &actions) == .write(n: 1))
        window.readEnded(conversation: a, through: 1, last: 1, into: &actions)
        #expect(actions.isEmpty)
    }

    @Test func aLostAcknowledgementIsToldAgain() {
        var window = DeliveryWindow(size: 8)
        var actions: [DeliveryWindow.Action] = []
        for seq in UInt64(1)...3 {
            _ = window.offer(conversation: a, seq: seq, cursor: 0, own: false, into: &actions)
        }
        #expect(window.acknowledge(3, into: &actions) == true)
        actions = []
        window.unread(conversation: a, cursor: 1, head: 3, into: &actions)
        #expect(actions == [.advance(conversation: a, seq: 3)])
    }

    @Test("Whatever comes in whatever order, nothing is lost, doubled or out of order", arguments: UInt64(1)...400)
    func property(seed: UInt64) {
        var model = WindowModel(size: 1 + Int(seed % 7), seed: seed)
        model.order = (1...1 + Int(seed % 5)).map(WindowModel.id)
        for id in model.order {
            model.conversations[id] = WindowModel.Conversation()
            for _ in 0..<model.random(0...8) {
                _ = model.append(id, readable: model.random(0...4) > 0, own: model.random(0...4) == 0)
            }
            let head = model.conversations[id]?.head ?? 0
            let cursor = UInt64(model.random(0...Int(head)))
            model.conversations[id]?.cursor = cursor
        }
        var isOpening = model.order
        for _ in 0..<150 {
            let id = model.order[model.random(0...model.order.count - 1)]
            switch model.random(0...10) {
            case 10: model.hold(!model.isHeld)
            case 0, 1, 2:
                let own = model.random(0...3) == 0
                let seq = model.append(id, readable: own || model.random(0...5) > 0, own: own)
                // The stream may lose it; its answer may come before it, after it, or alone.
                if model.random(0...3) > 0 { model.offer(id, seq) }
            case 3, 4, 5: model.answerRead()
            case 6, 7: model.acknowledge(model.random(1...4))
            case 8:
                // Old news.
                if let head = model.conversations[id]?.head, head > 0 {
                    model.offer(id, UInt64(model.random(1...Int(head))))
                }
            default:
                if let next = isOpening.popLast() {
                    model.unread(next)
                    if isOpening.isEmpty { model.opened() }
                } else {
                    model.unread(id)
                }
            }
        }
        model.hold(false)
        for id in isOpening { model.unread(id) }
        if !model.isOpened { model.opened() }
        // The streams are opened again, and everything is acknowledged in the end.
        for id in model.order { model.unread(id) }
        for _ in 0..<2_000 where !model.reads.isEmpty || !model.outstanding.isEmpty {
            model.answerRead()
            model.acknowledge(3)
        }
        for id in model.order {
            let missing = model.missing(id, through: model.conversations[id]?.head ?? 0)
            if !missing.isEmpty { model.problems.append("\(id) lacks \(missing)") }
        }
        if model.caughtUp != 1 { model.problems.append("caught up \(model.caughtUp) times") }
        #expect(model.problems.isEmpty, "seed \(seed): \(model.problems.prefix(5))")
    }
}
