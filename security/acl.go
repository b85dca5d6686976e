package security

import "strings"

// Object is what an action is done to: a role, a user, a principal, a path. The zero Object is any of them: allowed
// only to those who may do the action to everything.
type Object struct {
	name string
	some bool
}

// Named returns the object of the given name.
func Named(name string) Object { return Object{name: name, some: true} }

// Demand is one thing that a request needs to be allowed.
type Demand struct {
	Action Action
	Object Object
}

// ACLs are access control lists, as --acls has them. Nil allows everything to everybody. They never change once made.
type ACLs struct {
	permissive bool
	lists      map[string][]rule // by key of the document
}

// rule is one entry of a list.
type rule struct{ subjects, objects entity }

// entity is a set of principals or objects.
type entity struct {
	kind   entityKind
	values []string
}

type entityKind int

const (
	some entityKind = iota
	anyone
	none
)

// Authorize says whether a principal may do an action to an object. The first entry that speaks of both decides; where
// none does, the document's "permissive". Bearers of claims alone may do nothing.
func (a *ACLs) Authorize(p Principal, action Action, o Object) bool {
	if a == nil {
		return true
	}
	k, known := kinds[action]
	if !known || p.Nameless() {
		return false
	}
	subject := entity{kind: anyone}
	if p.Name != "" {
		subject = entity{values: []string{p.Name}}
	}
	object := entity{kind: anyone}
	if o.some && k.objects != implicit {
		object = entity{values: []string{o.name}}
	}
	for _, key := range k.lists {
		if !a.decide(key, subject, object) {
			return false
		}
	}
	return true
}

// AuthorizeAll says whether a principal may do an action to every one of the named objects, and, where there are none,
// to something that no list speaks of (Mesos: a framework without roles).
func (a *ACLs) AuthorizeAll(p Principal, action Action, names []string) bool {
	for _, name := range names {
		if !a.Authorize(p, action, Named(name)) {
			return false
		}
	}
	return len(names) > 0 || a == nil || a.permissive
}

// Denied returns the first demand that a principal may not make; false if it may make all.
func (a *ACLs) Denied(p Principal, demands []Demand) (Demand, bool) {
	for _, d := range demands {
		if !a.Authorize(p, d.Action, d.Object) {
			return d, true
		}
	}
	return Demand{}, false
}

// String says what is demanded, for refusals and logs.
func (d Demand) String() string {
	if !d.Object.some {
		return "perform action " + d.Action.String() + " on ANY object"
	}
	return "perform action " + d.Action.String() + " on object '" + d.Object.name + "'"
}

// For returns what a principal may do, for those who ask often.
func (a *ACLs) For(p Principal) Approver { return Approver{acls: a, principal: p} }

func (a *ACLs) decide(key string, subject, object entity) bool {
	for _, r := range a.lists[key] {
		if r.subjects.matches(subject) && r.objects.matches(object) {
			return r.subjects.allows(subject) && r.objects.allows(object)
		}
	}
	return a.permissive
}

// matches says whether an entry speaks of what is asked for: NONE speaks of everything, to deny it.
func (e entity) matches(asked entity) bool {
	return e.kind == anyone || e.kind == none || asked.kind == some && e.holds(asked.values[0])
}

// allows says whether an entry that matches allows what is asked for.
func (e entity) allows(asked entity) bool {
	return e.kind == anyone || e.kind == some && asked.kind == some && e.holds(asked.values[0])
}

// holds looks for a name. A value "a/%" holds every role below a; parsing leaves such values to lists of roles.
func (e entity) holds(name string) bool {
	for _, v := range e.values {
		if v == name {
			return true
		}
		if above, recursive := strings.CutSuffix(v, recursiveSuffix); recursive && strings.HasPrefix(name, above+"/") {
			return true
		}
	}
	return false
}

// recursiveSuffix ends a value that stands for all roles below one.
const recursiveSuffix = "/%"

// Approver is what one principal may do. The zero Approver approves of everything.
type Approver struct {
	acls      *ACLs
	principal Principal
}

// Principal is whom the approver speaks for.
func (a Approver) Principal() Principal { return a.principal }

// Approved says whether the principal may do an action to an object.
func (a Approver) Approved(action Action, o Object) bool {
	return a.acls.Authorize(a.principal, action, o)
}

// Unrestricted says that the principal may do all these actions to every object, so that nobody needs to look at single ones.
func (a Approver) Unrestricted(actions ...Action) bool {
	if a.acls == nil {
		return true
	}
	for _, action := range actions {
		if !a.unrestricted(action) {
			return false
		}
	}
	return true
}

func (a Approver) unrestricted(action Action) bool {
	if a.principal.Nameless() {
		return false
	}
	subject := entity{kind: anyone}
	if a.principal.Name != "" {
		subject = entity{values: []string{a.principal.Name}}
	}
	for _, key := range kinds[action].lists {
		decided := false
		for _, r := range a.acls.lists[key] {
			if !r.subjects.matches(subject) {
				continue
			}
			if !r.subjects.allows(subject) || r.objects.kind == none {
				return false
			}
			if r.objects.kind == anyone { // what follows is never looked at
				decided = true
				break
			}
		}
		if !decided && !a.acls.permissive {
			return false
		}
	}
	return true
}
