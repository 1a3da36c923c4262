import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Groups and channels: who gets what, over several devices and nodes.
@Suite struct GroupTests {
    @Test(arguments: World.seeds(4)) func everyDeviceOfEveryMember(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob", "cyd")
        for (place, name) in ["ada", "bob", "cyd"].enumerated() {
            for (other, device) in ["phone", "desk", "tablet"].enumerated() {
                try world.device(name, device, at: world.node(1 + (place + other) % 3), waits: false)
            }
        }
        for number in 0..<60 {
            world.pick(world.devices)?.send(to: group, "m\(number)")
            world.run(world.random(0...20))
        }
        world.expectWhole()
        // What one's own phone sent reaches one's own desk, and not the phone itself.
        for device in world.devices {
            let others = world.devices.filter { $0 !== device }.reduce(0) { $0 + $1.sent.count }
            #expect(device.received[group]?.count == others, "seed \(seed)")
        }
    }

    @Test(arguments: World.seeds(3)) func onlyOwnersAndAdminsPostInAChannel(seed: UInt64) throws {
        let world = try World(seed: seed)
        let channel = try world.conversation(.channel, "ada", "bob", "cyd")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone")
        let cyd = try world.device("cyd", "phone")
        let eve = try world.device("eve", "phone")
        let first = ada.send(to: channel, "by the owner")
        let refused = [bob.send(to: channel, "by a member"), cyd.send(to: channel, "by another")]
        let stranger = eve.send(to: channel, "by nobody")
        #expect(world.run(5_000) { ada.outbox.isEmpty && bob.outbox.isEmpty && eve.outbox.isEmpty })
        #expect(try world.change(channel, by: "ada", .promote, "bob") == .done)
        let second = bob.send(to: channel, "by an admin")
        world.expectWhole()
        #expect(ada.accepted[first] != nil && bob.accepted[second] != nil, "seed \(seed)")
        #expect(bob.refused[refused[0]] == .notMember && cyd.refused[refused[1]] == .notMember, "seed \(seed)")
        #expect(eve.refused[stranger] == .notMember && eve.received[channel] == nil, "seed \(seed)")
        #expect(cyd.received[channel]?.map(\.seq) == [1, 2], "seed \(seed)")
    }

    /// A message and a change of members meet in one batch of the log: what counts is which came first.
    @Test(arguments: World.seeds(8)) func membershipAndMessagesInOneBatch(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone")
        let cyd = try world.device("cyd", "phone")
        let users = (ada: ada.user, bob: bob.user, cyd: cyd.user)
        let node = try #require(
            world.cluster.leader(of: world.cluster.partition(of: group))
                .flatMap { world.cluster.running[$0]?.node })
        func change(_ user: UserID, _ action: MembershipAction) {
            let command = ChangeMembersCommand(conversation: group, actor: users.ada, users: [user], action: action)
            world.cluster.spawn {
                await node.propose(.changeMembers(command))
            } then: { _ in
            }
        }
        for round in 0..<20 {
            ada.send(to: group, "before \(round)")
            change(users.bob, round % 2 == 0 ? .remove : .add)
            ada.send(to: group, "between \(round)")
            change(users.cyd, round % 2 == 0 ? .add : .remove)
            ada.send(to: group, "after \(round)")
            world.run(world.random(0...4))
        }
        // Their sessions last throughout: nothing is repaired by opening again.
        world.expectWhole()
        #expect(bob.sessions.count == 1 && cyd.sessions.count == 1, "seed \(seed)")
        #expect((cyd.received[group]?.count ?? 0) > 0, "seed \(seed)")
    }

    @Test(arguments: World.seeds(3)) func oneRemovedGetsWhatWasSentBefore(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone")
        bob.reconnects = false
        bob.disconnect()
        for number in 0..<10 { ada.send(to: group, "before \(number)") }
        #expect(world.run(5_000) { ada.outbox.isEmpty }, "seed \(seed)")
        #expect(try world.change(group, by: "ada", .remove, "bob") == .done, "seed \(seed)")
        for number in 0..<10 { ada.send(to: group, "after \(number)") }
        #expect(world.run(5_000) { ada.outbox.isEmpty }, "seed \(seed)")
        bob.reconnects = true
        bob.connect()
        world.expectWhole()
        #expect(bob.received[group]?.map(\.seq) == Array(1...10), "seed \(seed)")
        let refused = bob.send(to: group, "not any more")
        #expect(world.run(5_000) { bob.refused[refused] == .notMember }, "seed \(seed)")
        // Back again: the gap stays a gap.
        #expect(try world.change(group, by: "ada", .add, "bob") == .done, "seed \(seed)")
        for number in 0..<5 { ada.send(to: group, "again \(number)") }
        world.expectWhole()
        #expect(bob.received[group]?.map(\.seq) == Array(1...10) + Array(21...25), "seed \(seed)")
    }
}
