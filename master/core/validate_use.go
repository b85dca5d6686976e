package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// This file is the checks of resources that tasks and executors want to use
// (reference row TV-06); their form was checked before, see wellFormed.

// validUse checks the resources of one task or executor, which is called so at the
// beginning and in the middle of a sentence.
func validUse(who, what string, list []mesos.Resource) error {
	if err := validForOperation(list); err != nil {
		return fmt.Errorf("%s uses invalid resources: %w", who, err)
	}
	if err := uniquePersistence(list); err != nil {
		return fmt.Errorf("%s uses duplicate persistence ID: %w", who, err)
	}
	if err := singleRole(list); err != nil {
		return fmt.Errorf("Invalid %s resources: %w", what, err)
	}
	if err := notMixed(list); err != nil {
		return fmt.Errorf("%s mixes revocable and non-revocable resources: %w", who, err)
	}
	return nil
}

// validTogether checks the resources of several tasks and their executor as one.
func validTogether(who string, lists ...[]mesos.Resource) error {
	if err := uniquePersistence(lists...); err != nil {
		return fmt.Errorf("%s use duplicate persistence ID: %w", who, err)
	}
	var all []mesos.Resource
	for _, list := range lists {
		all = append(all, list...)
	}
	if err := notMixed(all); err != nil {
		return fmt.Errorf("%s mix revocable and non-revocable resources: %w", who, err)
	}
	return nil
}

// notMixed checks that nothing is used of one name both as revocable and not.
func notMixed(list []mesos.Resource) error {
	plain := map[string]bool{}
	for i := range list {
		if list[i].Revocable == nil {
			plain[list[i].Name] = true
		}
	}
	for i := range list {
		if list[i].Revocable != nil && plain[list[i].Name] {
			return fmt.Errorf("Cannot use both revocable and non-revocable '%s' at the same time", list[i].Name)
		}
	}
	return nil
}

// overlap says whether the same port, or other member of a range or set, is in two of the bundles.
func overlap(bundles ...offers.Resources) bool {
	var total offers.Resources
	counts := offers.Quantities{}
	for _, r := range bundles {
		own := r.Exclusive()
		total = total.Plus(own)
		counts.Add(own.Counts(), 1)
	}
	return !total.Counts().Contains(counts)
}
