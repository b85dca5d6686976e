package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers/operations"
)

// This file is the checks of operations on volumes and disks; see validate_operation.go.

// validDisk checks what a disk says of its volume.
func validDisk(r *mesos.Resource) error {
	d := r.Disk
	switch {
	case d == nil:
		return nil
	case d.Persistence != nil:
		switch {
		case r.Revocable != nil:
			return fmt.Errorf("Persistent volumes cannot be created from revocable resources")
		case operations.ReservationRole(r) == "*":
			return fmt.Errorf("Persistent volumes cannot be created from unreserved resources")
		case d.Volume == nil:
			return fmt.Errorf("Expecting 'volume' to be set for persistent volume")
		case d.Volume.HostPath != nil:
			return fmt.Errorf("Expecting 'host_path' to be unset for persistent volume")
		}
		if err := ValidID(d.Persistence.ID); err != nil {
			return fmt.Errorf("Invalid persistence ID for persistent volume: %w", err)
		}
	case d.Volume != nil:
		return fmt.Errorf("Non-persistent volume not supported")
	case d.Source == nil:
		return fmt.Errorf("DiskInfo is set but empty")
	}
	return nil
}

// persistentVolumes checks that all resources are volumes that can be written.
func persistentVolumes(list []mesos.Resource) error {
	for i := range list {
		switch d := list[i].Disk; {
		case d == nil:
			return fmt.Errorf("Resource %s does not have DiskInfo", operations.TextOf(&list[i]))
		case d.Persistence == nil:
			return fmt.Errorf("'persistence' is not set in DiskInfo")
		case d.Volume == nil:
			return fmt.Errorf("Expecting 'volume' to be set for persistent volume")
		case d.Volume.GetMode() == mesos.RO:
			return fmt.Errorf("Read-only persistent volume not supported")
		}
	}
	return nil
}

// uniquePersistence checks that no two volumes of a role have one id.
func uniquePersistence(lists ...[]mesos.Resource) error {
	type key struct{ role, id string }
	seen := map[key]bool{}
	for _, list := range lists {
		for i := range list {
			if !operations.PersistentVolume(&list[i]) {
				continue
			}
			k := key{operations.ReservationRole(&list[i]), list[i].Disk.Persistence.ID}
			if seen[k] {
				return fmt.Errorf("Persistence ID '%s' is not unique", k.id)
			}
			seen[k] = true
		}
	}
	return nil
}

// validCreate is reference row OP-03.
func validCreate(a *agent, f *framework, principal *string, volumes []mesos.Resource) error {
	if err := validForOperation(volumes); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := singleProvider(volumes); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := persistentVolumes(volumes); err != nil {
		return fmt.Errorf("Not a persistent volume: %w", err)
	}
	if err := uniquePersistence(operations.Checkpointed(a.total), volumes); err != nil {
		return err
	}
	for i := range volumes {
		v := &volumes[i]
		if v.Shared != nil && f != nil && !f.can(mesos.FrameworkInfo_Capability_SHARED_RESOURCES) {
			return fmt.Errorf("Create volume operation for '%s' has been attempted by framework '%s' with no SHARED_RESOURCES capability", operations.TextOf(v), f.id)
		}
		if err := agentHolds(a, v, "Volume", "created"); err != nil {
			return err
		}
		if err := createsAs(principal, v); err != nil {
			return err
		}
	}
	if f == nil {
		return nil
	}
	if err := singleRole(volumes); err != nil {
		return fmt.Errorf("Invalid volume resources: %w", err)
	}
	return nil
}

// createsAs checks that a volume names the principal who makes it.
func createsAs(principal *string, v *mesos.Resource) error {
	if principal == nil {
		return nil
	}
	named := v.Disk.Persistence.Principal
	if named == nil {
		return fmt.Errorf("Create volume operation attempted by principal '%s', but there is a volume in the operation with no principal set in 'disk.persistence'", *principal)
	}
	if *named != *principal {
		return fmt.Errorf("Create volume operation attempted by authenticated principal '%s', which does not match a volume in the operation with principal '%s' set in 'disk.persistence'", *principal, *named)
	}
	return nil
}

// validDestroy is reference row OP-04.
func validDestroy(a *agent, list []mesos.Resource) error {
	volumes := append([]mesos.Resource(nil), list...)
	for i := range volumes {
		volumes[i].AllocationInfo = nil
	}
	if err := validForOperation(volumes); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := singleProvider(volumes); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := persistentVolumes(volumes); err != nil {
		return fmt.Errorf("Not a persistent volume: %w", err)
	}
	for i := range volumes {
		if volumes[i].ProviderID == nil && !contains(a.total, volumes[i]) {
			return fmt.Errorf("Persistent volumes not found")
		}
	}
	for _, used := range a.used {
		for i := range volumes {
			if contains(used.Unallocated(), volumes[i]) {
				return fmt.Errorf("Persistent volumes in use")
			}
		}
	}
	return nil
}

// validGrow is reference row OP-05.
func validGrow(a *agent, op *mesos.Offer_Operation_GrowVolume) error {
	v := &op.Volume
	if !(op.Addition.GetScalar().GetValue() > 0) {
		return fmt.Errorf("The size of 'GrowVolume.addition' field must be greater than zero")
	}
	if v.ProviderID != nil {
		return fmt.Errorf("Growing a volume from a resource provider is not supported")
	}
	if err := persistentVolumes([]mesos.Resource{*v}); err != nil {
		return fmt.Errorf("Invalid persistent volume in the 'GrowVolume.volume' field: %w", err)
	}
	if v.Shared != nil {
		return fmt.Errorf("Growing a shared persistent volume is not supported")
	}
	stripped := operations.PlainDisk(*v)
	if len(parsed(stripped, op.Addition).Mesos()) != 1 {
		return fmt.Errorf("Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields")
	}
	if !a.can(mesos.AgentInfo_Capability_RESIZE_VOLUME) {
		return fmt.Errorf("Volume %s cannot be grown on an agent without RESIZE_VOLUME capability", operations.TextOf(v))
	}
	return nil
}

// validShrink is reference row OP-05.
func validShrink(a *agent, op *mesos.Offer_Operation_ShrinkVolume) error {
	v, subtract := &op.Volume, op.Subtract.Value
	switch {
	case !(subtract > 0):
		return fmt.Errorf("Value of 'ShrinkVolume.subtract' must be greater than zero")
	case v.GetScalar().GetValue() <= subtract:
		return fmt.Errorf("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'")
	case v.ProviderID != nil:
		return fmt.Errorf("Shrinking a volume from a resource provider is not supported")
	case v.GetDisk().GetSource().GetType() == mesos.Resource_DiskInfo_Source_MOUNT:
		return fmt.Errorf("Shrinking a volume on a MOUNT disk is not supported")
	}
	if err := persistentVolumes([]mesos.Resource{*v}); err != nil {
		return fmt.Errorf("Invalid persistent volume in the 'ShrinkVolume.volume' field: %w", err)
	}
	if v.Shared != nil {
		return fmt.Errorf("Shrinking a shared persistent volume is not supported")
	}
	if !a.can(mesos.AgentInfo_Capability_RESIZE_VOLUME) {
		return fmt.Errorf("Volume %s cannot be shrunk on an agent without RESIZE_VOLUME capability", operations.TextOf(v))
	}
	return nil
}

// validCreateDisk is reference row OP-06. No agent of ours has resource providers, so what passes is refused by name.
func validCreateDisk(op *mesos.Offer_Operation_CreateDisk) error {
	r := &op.Source
	if err := validForOperation([]mesos.Resource{*r}); err != nil {
		return fmt.Errorf("Invalid resource: %w", err)
	}
	source := r.GetDisk().GetSource()
	switch {
	case r.ProviderID == nil:
		return fmt.Errorf("'source' is not managed by a resource provider")
	case source.GetType() != mesos.Resource_DiskInfo_Source_RAW:
		return fmt.Errorf("'source' is not a RAW disk resource")
	case op.TargetType != mesos.Resource_DiskInfo_Source_MOUNT && op.TargetType != mesos.Resource_DiskInfo_Source_BLOCK:
		return fmt.Errorf("'target_type' is neither MOUNT or BLOCK")
	case source.Profile != nil && op.TargetProfile != nil:
		return fmt.Errorf("'target_profile' must not be set when 'source' has a profile")
	case source.Profile == nil && op.TargetProfile == nil:
		return fmt.Errorf("'target_profile' must be set when 'source' has no profile")
	}
	return errProviders
}

// validDestroyDisk is reference row OP-07.
func validDestroyDisk(op *mesos.Offer_Operation_DestroyDisk) error {
	r := &op.Source
	if err := validForOperation([]mesos.Resource{*r}); err != nil {
		return fmt.Errorf("Invalid resource: %w", err)
	}
	source := r.GetDisk().GetSource()
	switch {
	case r.ProviderID == nil:
		return fmt.Errorf("'source' is not managed by a resource provider")
	case source.GetType() != mesos.Resource_DiskInfo_Source_MOUNT && source.GetType() != mesos.Resource_DiskInfo_Source_BLOCK && source.GetType() != mesos.Resource_DiskInfo_Source_RAW:
		return fmt.Errorf("'source' is neither a MOUNT, BLOCK or RAW disk resource")
	case source.ID == nil:
		return fmt.Errorf("'source' is not backed by a CSI volume")
	case operations.PersistentVolume(r):
		return fmt.Errorf("A disk resource containing a persistent volume %s cannot be destroyed directly. Please destroy the persistent volume first then destroy the disk resource", operations.TextOf(r))
	}
	return errProviders
}

var errProviders = fmt.Errorf("resource providers are not supported by this master yet")
