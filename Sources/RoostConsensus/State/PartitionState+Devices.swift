internal import RoostModel
package import RoostProtocol

/// A user's devices, and which of them are given up. A device that is not seen for `deviceExpiry` may be; until then it
/// may come back for what was sent meanwhile, so nothing makes room for another but that, or its user.
extension PartitionState {
    /// A device known keeps its first start, and is seen. At the limit one that may be given up makes room.
    mutating func registerDevice(
        _ record: DeviceRecord, _ token: TokenStamp? = nil, into output: inout ApplyOutput
    ) -> CommandResult {
        if let refusal = answer(toRegistering: record.device, of: record.user, token, at: record.createdAt) {
            return refusal
        }
        if let position = place(of: record.device, of: record.user) {
            see(position, of: record.user, token, at: record.createdAt, into: &output)
            return .done
        }
        var record = record
        if let token { _ = record.tokens.note(token, now: record.createdAt / 1_000_000) }
        let devices = devicesByUser[record.user] ?? []
        if devices.count >= limits.devicesPerUser, let oldest = expired(devices, at: record.createdAt) {
            forget(oldest, of: record.user, into: &output)
        }
        let position = devicesByUser[record.user, default: []].lowerBound { $0.device < record.device }
        devicesByUser[record.user, default: []].insert(record, at: position)
        output.changes.append(.device(record))
        return .done
    }

    /// A refusal; nil where it is registered, or seen.
    func answer(
        toRegistering device: DeviceID, of user: UserID, _ token: TokenStamp? = nil, at stamp: Int64
    ) -> CommandResult? {
        guard let account = accountsByUser[user] else { return .rejected(.unknownUser) }
        if account.disabled { return .rejected(.accountDisabled) }
        if let token, !account.revocations.permits(token, on: device) { return .rejected(.tokenRevoked) }
        let devices = devicesByUser[user] ?? []
        if devices.count < limits.devicesPerUser || place(of: device, of: user) != nil { return nil }
        return expired(devices, at: stamp) == nil ? .rejected(.limitExceeded) : nil
    }

    /// The place of the one seen least recently, if that is long enough ago.
    private func expired(_ devices: [DeviceRecord], at stamp: Int64) -> Int? {
        guard let oldest = devices.indices.min(by: { devices[$0].seenAt < devices[$1].seenAt }),
            stamp &- devices[oldest].seenAt > limits.deviceExpiry
        else { return nil }
        return oldest
    }

    mutating func seeDevices(_ sightings: [DeviceSighting], at stamp: Int64, into output: inout ApplyOutput) {
        for sighting in sightings {
            guard let position = place(of: sighting.device, of: sighting.user) else { continue }
            see(position, of: sighting.user, at: stamp, into: &output)
        }
    }

    mutating func forgetDevices(_ sightings: [DeviceSighting], into output: inout ApplyOutput) {
        for sighting in sightings {
            guard let position = place(of: sighting.device, of: sighting.user),
                let record = devicesByUser[sighting.user]?[position], record.seenAt <= sighting.seenAt
            else { continue }
            forget(position, of: sighting.user, into: &output)
        }
    }

    private mutating func see(
        _ position: Int, of user: UserID, _ token: TokenStamp? = nil, at stamp: Int64, into output: inout ApplyOutput
    ) {
        guard var record = devicesByUser[user]?[position] else { return }
        let isNew = token.map { record.tokens.note($0, now: stamp / 1_000_000) } ?? false
        guard isNew || record.seenAt < stamp else { return }
        record.seenAt = max(record.seenAt, stamp)
        devicesByUser[user]?[position] = record
        output.changes.append(.device(record))
    }

    mutating func forget(_ position: Int, of user: UserID, into output: inout ApplyOutput) {
        guard let record = devicesByUser[user]?.remove(at: position) else { return }
        if devicesByUser[user]?.isEmpty == true { devicesByUser[user] = nil }
        output.changes.append(.deviceForgotten(user: user, device: record.device))
        output.forgotten.append(DeviceSighting(user: user, device: record.device, seenAt: record.seenAt))
    }

    func place(of device: DeviceID, of user: UserID) -> Int? {
        guard let devices = devicesByUser[user] else { return nil }
        let position = devices.lowerBound { $0.device < device }
        return position < devices.count && devices[position].device == device ? position : nil
    }

    /// Devices last seen before `stamp`, the longest unseen first.
    package func devices(unseenSince stamp: Int64) -> [DeviceSighting] {
        var found: [DeviceSighting] = []
        for (user, devices) in devicesByUser {
            for record in devices where record.seenAt < stamp {
                found.append(DeviceSighting(user: user, device: record.device, seenAt: record.seenAt))
            }
        }
        return found.sorted { ($0.seenAt, $0.user, $0.device) < ($1.seenAt, $1.user, $1.device) }
    }

    // MARK: What they leave in conversations

    mutating func dropCursors(of sightings: [DeviceSighting], into output: inout ApplyOutput) {
        for sighting in sightings {
            guard let device = deviceNames.number(of: sighting.device) else { continue }
            for position in (positionsByUser[sighting.user] ?? []).sorted() {
                guard conversations[Int(position)].cursors.remove(user: sighting.user, device: device) else { continue }
                output.changes.append(
                    .cursorDropped(
                        user: sighting.user, device: sighting.device, conversation: conversations[Int(position)].id))
            }
        }
    }
}
